package proxy

import (
	"crypto/rand"
	"encoding/binary"
)

// WebSocket frames (RFC 6455, 5.2).
const (
	opClose   = 0x8
	opMask    = 0x0f
	finBit    = 0x80
	maskedBit = 0x80
	lengthOf  = 0x7f

	goingAway = 1001 // 7.4.1
)

// frames follows one direction of a WebSocket: how far the frame goes that is
// under way. It looks at headers only.
type frames struct {
	header  [14]byte // of the frame that begins, as far as it came
	have    int      // bytes of it
	payload uint64   // bytes still to come of the frame
	inside  bool     // the header of the frame was read, its payload not yet
	opcode  byte
	closed  bool // a close frame has passed in full
}

// between reports whether the next byte begins a frame.
func (f *frames) between() bool { return f.have == 0 && !f.inside }

// next takes in bytes up to the end of a frame at most, and returns how many.
func (f *frames) next(data []byte) (n int) {
	for n < len(data) {
		if !f.inside {
			f.header[f.have] = data[n]
			f.have++
			n++
			if f.have < f.size() {
				continue
			}
			f.begin()
		}
		step := min(f.payload, uint64(len(data)-n))
		f.payload -= step
		n += int(step) //nolint:gosec // at most len(data)
		if f.payload == 0 {
			f.inside, f.have = false, 0
			f.closed = f.closed || f.opcode == opClose
			return n
		}
	}
	return n
}

// all takes in all of the data.
func (f *frames) all(data []byte) {
	for len(data) > 0 {
		data = data[f.next(data):]
	}
}

// size is how long the header is, by what is there of it.
func (f *frames) size() int {
	n := 2
	if f.have < n {
		return n
	}
	switch f.header[1] & lengthOf {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.header[1]&maskedBit != 0 {
		n += 4
	}
	return n
}

func (f *frames) begin() {
	f.inside, f.opcode = true, f.header[0]&opMask
	switch n := f.header[1] & lengthOf; n {
	case 126:
		f.payload = uint64(binary.BigEndian.Uint16(f.header[2:]))
	case 127:
		f.payload = binary.BigEndian.Uint64(f.header[2:])
	default:
		f.payload = uint64(n)
	}
}

// farewellFrame is a close frame that says why. A client's frames are masked
// (5.3), a server's are not (5.1).
func farewellFrame(fromClient bool) []byte {
	code := binary.BigEndian.AppendUint16(nil, goingAway)
	if !fromClient {
		return append([]byte{finBit | opClose, byte(len(code))}, code...)
	}
	var key [4]byte
	_, _ = rand.Read(key[:]) // never fails
	out := append([]byte{finBit | opClose, maskedBit | byte(len(code))}, key[:]...)
	for i, b := range code {
		out = append(out, b^key[i%4])
	}
	return out
}
