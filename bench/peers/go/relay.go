// relay: the WebSocket-to-TCP relay that one writes in Go in an afternoon, with 64 KiB buffers.
package main

import (
	"io"
	"net"
	"net/http"
	"os"

	"github.com/gorilla/websocket"
)

const bufferBytes = 64 * 1024

var upgrader = websocket.Upgrader{
	ReadBufferSize:  bufferBytes,
	WriteBufferSize: bufferBytes + 16, // a read and its frame's head leave in one write
	CheckOrigin:     func(*http.Request) bool { return true },
}

func down(client *websocket.Conn, target net.Conn) {
	buffer := make([]byte, bufferBytes)
	for {
		n, err := target.Read(buffer)
		if n > 0 && client.WriteMessage(websocket.BinaryMessage, buffer[:n]) != nil {
			break
		}
		if err != nil {
			client.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
			break
		}
	}
	client.Close()
}

func up(client *websocket.Conn, target net.Conn) {
	buffer := make([]byte, bufferBytes)
	for {
		_, message, err := client.NextReader()
		if err != nil {
			break
		}
		if _, err = io.CopyBuffer(struct{ io.Writer }{target}, message, buffer); err != nil {
			break
		}
	}
	target.Close()
}

func main() {
	handler := func(w http.ResponseWriter, r *http.Request) {
		target, err := net.Dial("tcp", os.Args[2])
		if err != nil {
			http.Error(w, "target", http.StatusBadGateway)
			return
		}
		client, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			target.Close()
			return
		}
		go down(client, target)
		up(client, target)
	}
	if err := http.ListenAndServe(os.Args[1], http.HandlerFunc(handler)); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}
