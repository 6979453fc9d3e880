package main

import (
	"errors"
	"fmt"
	"net"
)

// notify tells a service manager how the process is, on the datagram socket
// that it named; see sd_notify(3). An empty socket is no service manager. A
// leading @ stands for an abstract name, as it does in package net.
func notify(socket, state string) error {
	if socket == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	_, err = c.Write([]byte(state))
	if err = errors.Join(err, c.Close()); err != nil {
		return fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	return nil
}
