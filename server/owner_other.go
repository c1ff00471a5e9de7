//go:build !unix

package server

import "io/fs"

func checkOwner(string, fs.FileInfo, int) error { return nil }
