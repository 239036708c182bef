module github.com/seed-804bd3b7/palette-apikeys-go/benchmarks

go 1.26.0

require (
	github.com/go-resty/resty/v2 v2.17.2
	github.com/seed-804bd3b7/palette-apikeys-go v0.0.0
)

require (
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/time v0.16.0 // indirect
)

replace github.com/seed-804bd3b7/palette-apikeys-go => ../
