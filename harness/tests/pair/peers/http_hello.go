// A server for chapter 02 in another language and of another design: a goroutine for each connection, Go's own poller,
// reads of other sizes, fields in another order. Whatever the lesson does not state, a test must not demand.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const page = "<!doctype html>\n<title>hello</title>\n<p>hello from the ground up\n"

func usage(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "http-hello: "+format+"\n", arguments...)
	os.Exit(2)
}

func readHead(connection net.Conn, patience time.Duration) error {
	var head []byte
	buffer := make([]byte, 512)
	for {
		connection.SetReadDeadline(time.Now().Add(patience))
		n, err := connection.Read(buffer)
		head = append(head, buffer[:n]...)
		if bytes.Contains(head, []byte("\r\n\r\n")) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(head) >= 8192 {
			return errors.New("head too large")
		}
	}
}

func serve(connection *net.TCPConn, patience time.Duration) {
	defer connection.Close()
	if readHead(connection, patience) != nil {
		return
	}
	connection.SetWriteDeadline(time.Now().Add(patience))
	fmt.Fprintf(connection, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n", len(page))
	fmt.Fprint(connection, "Content-Type: text/html; charset=utf-8\r\nServer: go\r\n\r\n")
	if _, err := io.WriteString(connection, page); err != nil {
		return
	}
	connection.CloseWrite()
	buffer := make([]byte, 65536)
	for {
		connection.SetReadDeadline(time.Now().Add(patience))
		if _, err := connection.Read(buffer); err != nil {
			return
		}
	}
}

func format(address *net.TCPAddr) string {
	return "tcp:" + net.JoinHostPort(address.IP.String(), strconv.Itoa(address.Port))
}

func main() {
	flags := flag.NewFlagSet("http-hello", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	host := flags.String("bind", "", "")
	port := flags.Uint("port", 0, "")
	seconds := flags.Float64("timeout", 10, "")
	switch err := flags.Parse(os.Args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Println("usage: http-hello [--bind HOST] [--port N] [--timeout SECONDS]")
		return
	case err != nil:
		usage("%s", strings.ReplaceAll(err.Error(), "\n", " "))
	case flags.NArg() > 0:
		usage("unexpected argument: %q", flags.Arg(0))
	case *port > 65535:
		usage("not a port number from 0 to 65535: %d", *port)
	case !(*seconds > 0 && *seconds < 1e6):
		usage("not a number of seconds above 0: %v", *seconds)
	case *host != "" && net.ParseIP(*host) == nil:
		usage("not a numeric IPv4 or IPv6 address: %q", *host)
	}
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(*host), Port: int(*port)})
	if err != nil {
		fmt.Fprintf(os.Stderr, "http-hello: bind(%s:%d): %v\n", *host, *port, err)
		os.Exit(1)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		os.Exit(0)
	}()
	fmt.Println("listening on", format(listener.Addr().(*net.TCPAddr)))
	for {
		connection, err := listener.AcceptTCP()
		if err != nil {
			continue
		}
		go serve(connection, time.Duration(*seconds*float64(time.Second)))
	}
}
