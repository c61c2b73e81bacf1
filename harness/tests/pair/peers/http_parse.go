// A server for chapter 03 on Go's net/http: another parser, another buffer, another answer to what the RFC leaves open.
// What is its own here is the contract's: which target gets what, and how long one waits for a peer.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	page      = "<!doctype html>\n<title>hello</title>\n<p>hello from the ground up\n"
	bodyLimit = 1 << 20
	// Go adds 4096 to what it is told.
	headLimit = 8192 - 4096
)

func usage(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "http-parse: "+format+"\n", arguments...)
	os.Exit(2)
}

// A connection on which every read and every write may take so long, and not all of them together; and one that is
// drained before it is closed, as Go does not do by itself.
type patientConn struct {
	*net.TCPConn
	patience time.Duration
	lock     sync.Mutex
	fixed    bool // Go has set a deadline: that is how it calls back a read that another goroutine is in
}

func (c *patientConn) SetReadDeadline(at time.Time) error {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.fixed = !at.IsZero()
	return c.TCPConn.SetReadDeadline(at)
}

func (c *patientConn) waitFor(patience time.Duration) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if !c.fixed {
		c.TCPConn.SetReadDeadline(time.Now().Add(patience))
	}
}

func (c *patientConn) Read(data []byte) (int, error) {
	c.waitFor(c.patience)
	n, err := c.TCPConn.Read(data)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		// What has come counts even if the time is up, which runs while the program is stopped.
		c.waitFor(time.Millisecond)
		n, err = c.TCPConn.Read(data)
	}
	return n, err
}

func (c *patientConn) Write(data []byte) (int, error) {
	c.TCPConn.SetWriteDeadline(time.Now().Add(c.patience))
	return c.TCPConn.Write(data)
}

func (c *patientConn) Close() error {
	c.TCPConn.CloseWrite()
	go func() {
		defer c.TCPConn.Close()
		data := make([]byte, 65536)
		for left := bodyLimit; left > 0; {
			c.TCPConn.SetReadDeadline(time.Now().Add(c.patience))
			n, err := c.TCPConn.Read(data)
			if err != nil {
				return
			}
			left -= n
		}
	}()
	return nil
}

type patientListener struct {
	*net.TCPListener
	patience time.Duration
}

func (l patientListener) Accept() (net.Conn, error) {
	connection, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return &patientConn{TCPConn: connection, patience: l.patience}, nil
}

func answer(w http.ResponseWriter, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}

func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Connection", "close")
	answer(w, status, "text/plain", []byte(http.StatusText(status)+"\n"))
}

func echo(w http.ResponseWriter, r *http.Request, body []byte) {
	kind := r.Header.Get("Content-Type")
	if kind == "" {
		kind = "application/octet-stream"
	}
	answer(w, http.StatusOK, kind, body)
}

func root(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", "GET, HEAD, OPTIONS")
	switch r.Method {
	case "GET", "HEAD":
		w.Header().Del("Allow")
		answer(w, http.StatusOK, "text/html; charset=utf-8", []byte(page))
	case "OPTIONS":
		answer(w, http.StatusOK, "text/plain", nil)
	case "POST", "PUT", "DELETE", "TRACE", "PATCH":
		answer(w, http.StatusMethodNotAllowed, "text/plain", []byte("405\n"))
	default:
		answer(w, http.StatusNotImplemented, "text/plain", []byte("501\n"))
	}
}

// Go looks at the characters of a host and not at its form; and at a target's form, but not at whether it fits the
// method, and at a length's digits, if there are any. Beside the one expectation that it knows it ignores others.
var (
	host      = regexp.MustCompile(`^(\[[0-9A-Fa-f:.]+\]|([-\w.~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)(:[0-9]*)?$`)
	authority = regexp.MustCompile(`^(\[[0-9A-Fa-f:.]+\]|([-\w.~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+):[0-9]+$`)
)

func malformed(r *http.Request) bool {
	length, there := r.Header["Content-Length"]
	switch {
	case there && length[0] == "":
		return true
	case strings.IndexFunc(r.RequestURI, func(c rune) bool { return c <= ' ' || c > '~' || c == '#' }) >= 0:
		return true
	case !host.MatchString(r.Host):
		return true
	case r.Method == "CONNECT":
		return !authority.MatchString(r.RequestURI)
	case r.RequestURI == "*":
		return r.Method != "OPTIONS"
	case r.URL.Scheme != "":
		return r.URL.Hostname() == ""
	default:
		return !strings.HasPrefix(r.RequestURI, "/")
	}
}

func wantsLength(r *http.Request) bool {
	_, there := r.Header["Content-Length"]
	return !there && len(r.TransferEncoding) == 0 && (r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH")
}

func handler(everywhere bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 && r.ProtoMinor == 0 {
			w.Header().Set("Connection", "close")
		}
		if malformed(r) {
			refuse(w, http.StatusBadRequest)
			return
		}
		if expected := r.Header.Get("Expect"); expected != "" && !strings.EqualFold(expected, "100-continue") {
			refuse(w, http.StatusExpectationFailed)
			return
		}
		if r.URL.Scheme != "" && !strings.EqualFold(r.URL.Scheme, "http") {
			refuse(w, http.StatusMisdirectedRequest)
			return
		}
		if wantsLength(r) {
			refuse(w, http.StatusLengthRequired)
			return
		}
		if r.ContentLength > bodyLimit {
			refuse(w, http.StatusRequestEntityTooLarge)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
		if err != nil && strings.Contains(err.Error(), "too large") {
			refuse(w, http.StatusRequestEntityTooLarge)
			return
		}
		if err != nil {
			refuse(w, http.StatusBadRequest)
			return
		}
		switch {
		case r.Method == "CONNECT":
			answer(w, http.StatusNotImplemented, "text/plain", []byte("501\n"))
		case everywhere || r.URL.Path == "/echo":
			echo(w, r, body)
		case r.URL.Path == "/" || r.URL.Path == "" || r.RequestURI == "*":
			root(w, r)
		default:
			answer(w, http.StatusNotFound, "text/plain", []byte("404\n"))
		}
	}
}

func format(address *net.TCPAddr) string {
	return "tcp:" + net.JoinHostPort(address.IP.String(), strconv.Itoa(address.Port))
}

func main() {
	flags := flag.NewFlagSet("http-parse", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	bind := flags.String("bind", "", "")
	port := flags.Uint("port", 0, "")
	seconds := flags.Float64("timeout", 10, "")
	everywhere := flags.Bool("echo", false, "")
	switch err := flags.Parse(os.Args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Println("usage: http-parse [--bind HOST] [--port N] [--timeout SECONDS] [--echo]")
		return
	case err != nil:
		usage("%s", strings.ReplaceAll(err.Error(), "\n", " "))
	case flags.NArg() > 0:
		usage("unexpected argument: %q", flags.Arg(0))
	case *port > 65535:
		usage("not a port number from 0 to 65535: %d", *port)
	case !(*seconds > 0 && *seconds < 1e6):
		usage("not a number of seconds above 0: %v", *seconds)
	case *bind != "" && net.ParseIP(*bind) == nil:
		usage("not a numeric IPv4 or IPv6 address: %q", *bind)
	}
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(*bind), Port: int(*port)})
	if err != nil {
		fmt.Fprintf(os.Stderr, "http-parse: bind(%s:%d): %v\n", *bind, *port, err)
		os.Exit(1)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		os.Exit(0)
	}()
	fmt.Println("listening on", format(listener.Addr().(*net.TCPAddr)))
	server := &http.Server{
		Handler:        handler(*everywhere),
		MaxHeaderBytes: headLimit,
		ErrorLog:       log.New(io.Discard, "", 0),
	}
	patience := time.Duration(*seconds * float64(time.Second))
	fmt.Fprintln(os.Stderr, "http-parse:", server.Serve(patientListener{listener, patience}))
	os.Exit(1)
}
