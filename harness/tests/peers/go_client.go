// Go's net/http as a client of the chapters' servers: go_client WHAT URL. Every WHAT checks what came by itself, as
// Go sees it, and ends with status 1 and a word if it is wrong.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"strings"
	"time"
)

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "go: "+format+"\n", arguments...)
	os.Exit(1)
}

func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func request(method, url string, body io.Reader) *http.Request {
	made, err := http.NewRequest(method, url, body)
	must(err)
	return made
}

// Makes the request, reads the whole response, and demands its status.
func do(client *http.Client, made *http.Request, status int) (*http.Response, []byte) {
	response, err := client.Do(made)
	must(err)
	body, err := io.ReadAll(response.Body)
	must(err)
	response.Body.Close()
	if response.StatusCode != status {
		fail("%s %s: %s instead of %d", made.Method, made.URL, response.Status, status)
	}
	return response, body
}

// Hides what a reader is, and with it its length: Go sends chunks then.
type stream struct{ io.Reader }

func pattern(size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * i >> 7)
	}
	return data
}

func chunks(client *http.Client, url string) {
	for _, size := range []int{1, 4095, 4096, 100_000, 1 << 20} {
		made := request("POST", url, stream{bytes.NewReader(pattern(size))})
		made.Trailer = http.Header{"Digest": nil}
		made.Trailer.Set("Digest", "of "+strconv.Itoa(size))
		if _, body := do(client, made, 200); !bytes.Equal(body, pattern(size)) {
			fail("%d bytes in chunks did not come back as they were", size)
		}
	}
}

func waits(client *http.Client, url string) {
	went := make(chan time.Time, 1)
	trace := &httptrace.ClientTrace{Got100Continue: func() { went <- time.Now() }}
	made := request("PUT", url, stream{bytes.NewReader(pattern(5000))})
	made.Header.Set("Expect", "100-continue")
	made = made.WithContext(httptrace.WithClientTrace(made.Context(), trace))
	if _, body := do(client, made, 200); !bytes.Equal(body, pattern(5000)) {
		fail("what was sent after 100 did not come back as it was")
	}
	if len(went) != 1 {
		fail("no 100 (Continue) came")
	}
}

// HEAD and GET by turns, all but the first on the connection that was there.
func reuses(client *http.Client, url string) {
	reused := 0
	trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		if got.Reused {
			reused++
		}
	}}
	for i := 0; i < 20; i++ {
		made := request([]string{"GET", "HEAD"}[i%2], url, nil)
		response, body := do(client, made.WithContext(httptrace.WithClientTrace(made.Context(), trace)), 200)
		if made.Method == "HEAD" && (len(body) > 0 || response.ContentLength <= 0) {
			fail("HEAD: %d bytes, Content-Length %d", len(body), response.ContentLength)
		}
	}
	if reused != 19 {
		fail("of 20 requests %d went over a connection that was there", reused)
	}
}

// Ranges, single and as multipart/byteranges, each compared with that part of the whole.
func ranges(client *http.Client, url string) {
	response, whole := do(client, request("GET", url, nil), 200)
	if response.ContentLength != int64(len(whole)) || response.Header.Get("Accept-Ranges") != "bytes" {
		fail("Content-Length %d, Accept-Ranges %q", response.ContentLength, response.Header.Get("Accept-Ranges"))
	}
	made := request("GET", url, nil)
	made.Header.Set("Range", "bytes=100-199,500-,0-9")
	made.Header.Set("If-Range", response.Header.Get("ETag"))
	parts, body := do(client, made, 206)
	kind, parameters, err := mime.ParseMediaType(parts.Header.Get("Content-Type"))
	must(err)
	if kind != "multipart/byteranges" {
		fail("Content-Type %q", kind)
	}
	reader := multipart.NewReader(bytes.NewReader(body), parameters["boundary"])
	found := []string{}
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		must(err)
		var first, last, size int
		_, err = fmt.Sscanf(part.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &size)
		must(err)
		data, err := io.ReadAll(part)
		must(err)
		if size != len(whole) || !bytes.Equal(data, whole[first:last+1]) {
			fail("the part %d-%d/%d is not that part", first, last, size)
		}
		found = append(found, fmt.Sprintf("%d-%d", first, last))
	}
	if want := fmt.Sprintf("100-199 500-%d 0-9", len(whole)-1); strings.Join(found, " ") != want {
		fail("parts %v instead of %s", found, want)
	}
	made.Header.Set("If-Range", `"another"`)
	if _, body := do(client, made, 200); !bytes.Equal(body, whole) {
		fail("If-Range of another file: not the whole file")
	}
}

func conditions(client *http.Client, url string) {
	response, _ := do(client, request("GET", url, nil), 200)
	modified, err := http.ParseTime(response.Header.Get("Last-Modified"))
	must(err)
	date, err := http.ParseTime(response.Header.Get("Date"))
	must(err)
	if age := time.Since(date); age > time.Minute || age < -time.Minute || modified.After(date) {
		fail("Date %v, Last-Modified %v", date, modified)
	}
	made := request("GET", url, nil)
	made.Header.Set("If-None-Match", `"another", `+response.Header.Get("ETag"))
	do(client, made, 304)
	for _, form := range []string{http.TimeFormat, time.RFC850, time.ANSIC} {
		made := request("GET", url, nil)
		made.Header.Set("If-Modified-Since", strings.Replace(modified.UTC().Format(form), "UTC", "GMT", 1))
		do(client, made, 304)
		made.Header.Set("If-Modified-Since",
			strings.Replace(modified.UTC().Add(-time.Second).Format(form), "UTC", "GMT", 1))
		do(client, made, 200)
	}
}

func main() {
	client := &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{ExpectContinueTimeout: 20 * time.Second},
	}
	what := map[string]func(*http.Client, string){
		"chunks": chunks, "waits": waits, "reuses": reuses, "ranges": ranges, "conditions": conditions,
	}
	what[os.Args[1]](client, os.Args[2])
	client.CloseIdleConnections()
}
