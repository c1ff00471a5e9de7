package certs

import (
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// writePEM puts a PEM file in place at once: whatever happens, there is the old
// file or the whole new one.
func writePEM(name, kind string, der []byte, mode os.FileMode) error {
	data := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := writeFile(name, data, mode); err != nil {
		return fmt.Errorf("certs: writing %s: %w", name, err)
	}
	return nil
}

func writeFile(name string, data []byte, mode os.FileMode) error {
	dir := filepath.Dir(name)
	// CreateTemp makes the file for its owner alone, so that a key is never
	// readable by others.
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(dir)
}

// syncDir makes a rename durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
