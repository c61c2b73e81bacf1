// vsock is a peer for the chapters on VM sockets: echo and HTTP, both ends of each, on github.com/mdlayher/vsock.
//
//	vsock echo-server PORT
//	vsock echo-client CID PORT           standard input goes there, what comes back to standard output
//	vsock http-server PORT ROOT
//	vsock http-client CID PORT PATH [RANGE]   prints status, some fields, and the body
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/mdlayher/vsock"
)

func number(text string) uint32 {
	value, err := strconv.ParseUint(text, 10, 32)
	check(err)
	return uint32(value)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "vsock:", err)
		os.Exit(1)
	}
}

func listen(port string) *vsock.Listener {
	listener, err := vsock.Listen(number(port), nil)
	check(err)
	fmt.Println("listening on", listener.Addr())
	return listener
}

func dial(cid, port string) *vsock.Conn {
	conn, err := vsock.Dial(number(cid), number(port), nil)
	check(err)
	return conn
}

func echoServer(port string) {
	listener := listen(port)
	for {
		conn, err := listener.Accept()
		check(err)
		go func() {
			defer conn.Close()
			io.Copy(conn, conn)
		}()
	}
}

func echoClient(cid, port string) {
	conn := dial(cid, port)
	go func() {
		_, err := io.Copy(conn, os.Stdin)
		check(err)
		check(conn.CloseWrite())
	}()
	_, err := io.Copy(os.Stdout, conn)
	check(err)
}

func httpServer(port, root string) {
	check(http.Serve(listen(port), http.FileServer(http.Dir(root))))
}

func httpClient(cid, port, path, byteRange string) {
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return vsock.Dial(number(cid), number(port), nil)
	}}
	request, err := http.NewRequest("GET", "http://ground"+path, nil)
	check(err)
	if byteRange != "" {
		request.Header.Set("Range", byteRange)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	check(err)
	fmt.Println(response.StatusCode)
	for _, name := range []string{"Accept-Ranges", "Content-Length", "Content-Range", "Content-Type"} {
		fmt.Printf("%s: %s\n", name, response.Header.Get(name))
	}
	_, err = http.ParseTime(response.Header.Get("Date"))
	check(err)
	if response.StatusCode < 300 { // an error has no date of its own
		_, err = http.ParseTime(response.Header.Get("Last-Modified"))
		check(err)
	}
	fmt.Println()
	_, err = io.Copy(os.Stdout, response.Body)
	check(err)
}

func main() {
	arguments := append(os.Args[1:], "", "", "", "", "")
	switch arguments[0] {
	case "echo-server":
		echoServer(arguments[1])
	case "echo-client":
		echoClient(arguments[1], arguments[2])
	case "http-server":
		httpServer(arguments[1], arguments[2])
	case "http-client":
		httpClient(arguments[1], arguments[2], arguments[3], arguments[4])
	default:
		fmt.Fprintln(os.Stderr, "vsock: echo-server, echo-client, http-server or http-client")
		os.Exit(2)
	}
}
