package proxy

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

// frameOf makes a WebSocket frame (RFC 6455, 5.2).
func frameOf(opcode byte, masked bool, payload []byte) []byte {
	out := []byte{finBit | opcode}
	mask := byte(0)
	if masked {
		mask = maskedBit
	}
	switch n := len(payload); {
	case n < 126:
		out = append(out, mask|byte(n))
	case n < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, mask|126), uint16(n))
	default:
		out = binary.BigEndian.AppendUint64(append(out, mask|127), uint64(n))
	}
	if masked {
		out = append(out, 0, 0, 0, 0) // a key of zeros leaves the payload as it is
	}
	return append(out, payload...)
}

// readFrame is strict: anything but a whole frame is an error.
func readFrame(in *bufio.Reader) (opcode byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, nil, err
	}
	if head[0]&0x70 != 0 {
		return 0, nil, fmt.Errorf("reserved bits in %#x: a frame was torn", head[0])
	}
	n := uint64(head[1] & lengthOf)
	switch n {
	case 126:
		var long [2]byte
		_, err = io.ReadFull(in, long[:])
		n = uint64(binary.BigEndian.Uint16(long[:]))
	case 127:
		var long [8]byte
		_, err = io.ReadFull(in, long[:])
		n = binary.BigEndian.Uint64(long[:])
	}
	if err != nil || n > 1<<22 {
		return 0, nil, errors.Join(err, fmt.Errorf("a frame of %d bytes", n))
	}
	key := make([]byte, 4)
	if head[1]&maskedBit != 0 {
		if _, err := io.ReadFull(in, key); err != nil {
			return 0, nil, err
		}
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(in, payload)
	for i := range payload {
		payload[i] ^= key[i%4]
	}
	return head[0] & opMask, payload, err
}

func TestFrames_FindsEveryBoundaryHoweverTheBytesCome(t *testing.T) {
	t.Parallel()
	var stream []byte
	var ends []int
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 70000, 3, 0} {
		for _, masked := range []bool{false, true} {
			stream = append(stream, frameOf(2, masked, make([]byte, n))...)
			ends = append(ends, len(stream))
		}
	}
	for _, most := range []int{1, 2, 3, 7, 100, 32 << 10, len(stream)} {
		var f frames
		var got []int
		for at := 0; at < len(stream); {
			step := min(len(stream)-at, 1+rand.N(most))
			for chunk := stream[at : at+step]; len(chunk) > 0; {
				n := f.next(chunk)
				chunk, at = chunk[n:], at+n
				if f.between() {
					got = append(got, at)
				}
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(ends) {
			t.Errorf("pieces of up to %d bytes: boundaries at %v, want %v", most, got, ends)
		}
		if f.closed {
			t.Error("there was no close frame")
		}
	}
}
