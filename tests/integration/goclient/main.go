// A Go client of the bridge: echoes N bytes and closes, or (N = 0) reads to the end. Prints what it saw as JSON.
package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

type seen struct {
	Received int    `json:"received"`
	Sent     string `json:"sent"`
	Hash     string `json:"hash"`
	Code     int    `json:"code"`
	Reason   string `json:"reason"`
	Status   int    `json:"status"`
}

func main() {
	size, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fail(err)
	}
	out, err := visit(os.Args[1], size)
	if err != nil {
		fail(err)
	}
	_ = json.NewEncoder(os.Stdout).Encode(out)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func visit(url string, size int) (seen, error) {
	var out seen
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, answer, err := websocket.Dial(ctx, url, nil)
	if answer != nil {
		out.Status = answer.StatusCode
	}
	if err != nil {
		if answer != nil {
			return out, nil
		}
		return out, err
	}
	conn.SetReadLimit(-1)
	data := make([]byte, size)
	_, _ = rand.Read(data)
	sum := sha256.Sum256(data)
	out.Sent = hex.EncodeToString(sum[:])
	go func() {
		for at := 0; at < size; at += 54321 {
			if conn.Write(ctx, websocket.MessageBinary, data[at:min(at+54321, size)]) != nil {
				return
			}
		}
	}()
	hash := sha256.New()
	for size == 0 || out.Received < size {
		_, piece, err := conn.Read(ctx)
		var closed websocket.CloseError
		if errors.As(err, &closed) {
			out.Code, out.Reason = int(closed.Code), closed.Reason
			break
		}
		if err != nil {
			return out, err
		}
		hash.Write(piece)
		out.Received += len(piece)
	}
	out.Hash = hex.EncodeToString(hash.Sum(nil))
	if out.Code == 0 {
		return out, conn.Close(websocket.StatusNormalClosure, "enough")
	}
	return out, nil
}
