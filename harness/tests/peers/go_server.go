// Go's net/http as a server for chapter 04's client: a path for each way in which a response can come and end.
// It prints `listening on HOST:PORT`, and ends by SIGTERM.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func pattern(size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * i >> 7)
	}
	return data
}

// The size is the last element of the path.
func body(r *http.Request) []byte {
	size, err := strconv.Atoi(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
	if err != nil {
		panic(err)
	}
	return pattern(size)
}

func length(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body(r))))
	w.Write(body(r))
}

// Pieces of growing size, each a chunk of its own, and a trailer field.
func chunked(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "Digest")
	rest := body(r)
	for size := 1; len(rest) > 0; size = size*3 + 1 {
		if size > len(rest) {
			size = len(rest)
		}
		w.Write(rest[:size])
		w.(http.Flusher).Flush()
		rest = rest[size:]
	}
	w.Header().Set("Digest", "none")
}

// Only the end of the connection says that it is all.
func closed(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Transfer-Encoding", "identity")
	w.Write(body(r))
}

func hinted(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Link", "</style.css>; rel=preload")
	w.WriteHeader(http.StatusEarlyHints)
	w.WriteHeader(http.StatusProcessing)
	length(w, r)
}

// As an old server would: no length, no chunks, no version 1.1.
func old(w http.ResponseWriter, r *http.Request) {
	connection, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer connection.Close()
	fmt.Fprint(connection, "HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n")
	connection.Write(body(r))
}

// Ends in the middle: Go closes the connection without the last chunk, or with fewer bytes than it said.
func aborted(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/aborted/length/") {
		w.Header().Set("Content-Length", strconv.Itoa(len(body(r))+1))
	}
	w.Write(body(r))
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// Redirects as often as the path says, relative, then to the page.
func around(w http.ResponseWriter, r *http.Request) {
	left, err := strconv.Atoi(r.URL.Path[len("/around/"):])
	if err != nil {
		panic(err)
	}
	status := []int{301, 302, 303, 307, 308}[left%5]
	if left == 0 {
		http.Redirect(w, r, "../length/1000", status)
		return
	}
	w.Header().Set("Location", strconv.Itoa(left-1)+"#part")
	w.WriteHeader(status)
	io.WriteString(w, "moved\n")
}

func silent(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "10")
	w.Write([]byte("half of"))
	w.(http.Flusher).Flush()
	select {
	case <-r.Context().Done():
	case <-time.After(time.Minute):
	}
}

func main() {
	listener, err := net.Listen("tcp", net.JoinHostPort(os.Args[1], "0"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("listening on tcp:%s\n", listener.Addr())
	mux := http.NewServeMux()
	mux.HandleFunc("/length/", length)
	mux.HandleFunc("/chunked/", chunked)
	mux.HandleFunc("/closed/", closed)
	mux.HandleFunc("/hinted/", hinted)
	mux.HandleFunc("/old/", old)
	mux.HandleFunc("/aborted/", aborted)
	mux.HandleFunc("/around/", around)
	mux.HandleFunc("/silent", silent)
	mux.HandleFunc("/none", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/host", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) })
	server := &http.Server{Handler: mux, ErrorLog: nil}
	fmt.Fprintln(os.Stderr, server.Serve(listener))
}
