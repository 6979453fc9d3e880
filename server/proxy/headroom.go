package proxy

import "runtime"

// headroom is how much garbage, in bytes, may gather on top of what Go would
// let gather. A proxy keeps little and makes about 15 kB of garbage with each
// request: with Go's default, which lets as much gather as is kept, a busy one
// collects dozens of times a second, which took a tenth of its CPU time. A
// share (GOGC) would do the same here, but take ever more memory where much is
// kept, as with many streams.
const headroom = 32 << 20

// makeRoom holds the headroom until it is given back. It is memory that is
// never touched, so none is used but what the garbage takes.
func makeRoom() (giveBack func()) {
	room := make([]byte, headroom)
	return func() { runtime.KeepAlive(room) }
}
