module groundup/peers/vsock

go 1.18

require github.com/mdlayher/vsock v1.2.0

require (
	github.com/mdlayher/socket v0.4.0 // indirect
	golang.org/x/net v0.2.0 // indirect
	golang.org/x/sync v0.1.0 // indirect
	golang.org/x/sys v0.2.0 // indirect
)
