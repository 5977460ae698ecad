module postern.test/goclient

go 1.21

require github.com/coder/websocket v1.8.12
