//go:build linux && (amd64 || arm64)

package edge

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// fastSocket is a UDP socket outside the runtime's poller: its reader waits in
// poll(2) and takes what has come with one recvmmsg, and a send is one system
// call that the scheduler is not told of, since it cannot block. The poller wakes
// a thread to wake a goroutine, which for single datagrams costs more than all
// the rest: at 10,000 datagrams a second each way this saves a third of the
// processor time.
//
// On a wildcard socket it also learns to which of the host's addresses a
// datagram came, so that the answer leaves from there (RFC 3581, 4).
type fastSocket struct {
	fd       int
	wake     int // an eventfd that ends the reader's waiting
	v6       bool
	wildcard bool

	// Of how many bytes the datagrams of a run may be at the most, as far as is
	// known: beyond this host, and on it.
	longest, longestHere atomic.Int64

	life    sync.RWMutex // held for reading in a call, so that fd is not closed and its number reused meanwhile
	closed  bool
	stopped atomic.Bool
}

// newFastSocket takes c over, and closes it; nil where that is not possible.
func newFastSocket(c *net.UDPConn, wildcard bool) packetSocket {
	rc, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	s := &fastSocket{fd: -1, wake: -1}
	s.longest.Store(maxDatagram)
	s.longestHere.Store(maxDatagram)
	var known bool
	err = rc.Control(func(fd uintptr) {
		switch sa, _ := syscall.Getsockname(int(fd)); sa.(type) {
		case *syscall.SockaddrInet4:
			known = true
			s.wildcard = wildcard && syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_PKTINFO, 1) == nil
		case *syscall.SockaddrInet6:
			known, s.v6 = true, true
			s.wildcard = wildcard && syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_RECVPKTINFO, 1) == nil
		}
		own, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, 0)
		if errno == 0 {
			s.fd = int(own)
		}
	})
	if err != nil || !known || s.fd < 0 {
		return nil
	}
	wake, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		_ = syscall.Close(s.fd)
		return nil
	}
	s.wake = int(wake)
	_ = c.Close() // takes the socket out of the runtime's poller; ours stays open
	return s
}

// readBatch is how many datagrams one system call takes at the most.
const readBatch = 16

// mmsghdr is recvmmsg's element.
type mmsghdr struct {
	header syscall.Msghdr
	n      uint32
	_      [4]byte
}

// datagramReader is one goroutine's memory for reading: 1 MB.
type datagramReader struct {
	s       *fastSocket
	headers [readBatch]mmsghdr
	names   [readBatch]syscall.RawSockaddrInet6 // large enough for both families
	control [readBatch][pktinfoRoom]byte
	iov     [readBatch]syscall.Iovec
	bufs    [readBatch][]byte
	next    int
	count   int
}

// pktinfoRoom holds one IPV6_PKTINFO, the longer of the two.
const pktinfoRoom = (syscall.SizeofCmsghdr + syscall.SizeofInet6Pktinfo + 7) &^ 7

func (s *fastSocket) reader() readFunc {
	r := &datagramReader{s: s}
	all := make([]byte, readBatch*maxDatagram)
	for i := range readBatch {
		r.bufs[i] = all[i*maxDatagram : (i+1)*maxDatagram]
		r.iov[i].Base = &r.bufs[i][0]
		r.iov[i].SetLen(maxDatagram)
	}
	return r.read
}

// read gives the next datagram, waiting for it.
func (r *datagramReader) read() (b []byte, remote netip.AddrPort, local netip.Addr, err error) {
	for r.next >= r.count {
		if r.s.stopped.Load() {
			return nil, remote, local, net.ErrClosed
		}
		n, errno := r.receive()
		switch errno {
		case 0:
			r.next, r.count = 0, n
		case syscall.EAGAIN:
			r.s.wait(pollIn, -1)
		case syscall.EINTR:
		case syscall.EBADF:
			return nil, remote, local, net.ErrClosed
		default:
			return nil, remote, local, os.NewSyscallError("recvmmsg", errno)
		}
	}
	i := r.next
	r.next++
	if r.s.wildcard {
		local = r.localAddr(i)
	}
	return r.bufs[i][:r.headers[i].n], r.remote(i), local, nil
}

// receive takes what has come, without waiting.
func (r *datagramReader) receive() (int, syscall.Errno) {
	for i := range r.headers {
		h := &r.headers[i].header
		*h = syscall.Msghdr{Name: (*byte)(unsafe.Pointer(&r.names[i])), Namelen: uint32(unsafe.Sizeof(r.names[i])), Iov: &r.iov[i], Iovlen: 1}
		if r.s.wildcard {
			h.Control = &r.control[i][0]
			h.SetControllen(pktinfoRoom)
		}
	}
	r.s.life.RLock()
	defer r.s.life.RUnlock()
	if r.s.closed {
		return 0, syscall.EBADF
	}
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVMMSG, uintptr(r.s.fd),
		uintptr(unsafe.Pointer(&r.headers[0])), readBatch, syscall.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// pollfd is poll's element.
type pollfd struct {
	fd      int32
	events  int16
	revents int16
}

const (
	pollIn  = 1
	pollOut = 4
)

// wait blocks its thread until the socket is ready, stop is called, or the time
// is over; negative: no limit.
func (s *fastSocket) wait(events int16, limit time.Duration) {
	fds := [2]pollfd{{fd: int32(s.fd), events: events}, {fd: int32(s.wake), events: pollIn}}
	count := len(fds)
	if events == pollOut {
		count = 1 // sending goes on after stop
	}
	var timeout *syscall.Timespec
	if limit >= 0 {
		t := syscall.NsecToTimespec(int64(limit))
		timeout = &t
	}
	_, _, _ = syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(count), uintptr(unsafe.Pointer(timeout)), 0, 0, 0)
}

func (r *datagramReader) remote(i int) netip.AddrPort {
	name := &r.names[i]
	if name.Family == syscall.AF_INET {
		sa := (*syscall.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), fromNetwork(sa.Port))
	}
	a := netip.AddrFrom16(name.Addr).Unmap()
	if name.Scope_id != 0 { // link-local only
		a = a.WithZone(strconv.FormatUint(uint64(name.Scope_id), 10))
	}
	return netip.AddrPortFrom(a, fromNetwork(name.Port))
}

// localAddr reads IP_PKTINFO's ipi_spec_dst or IPV6_PKTINFO's ipi6_addr.
func (r *datagramReader) localAddr(i int) netip.Addr {
	c := r.control[i][:min(r.headers[i].header.Controllen, pktinfoRoom)]
	if len(c) < syscall.SizeofCmsghdr {
		return netip.Addr{}
	}
	level, kind := binary.NativeEndian.Uint32(c[8:]), binary.NativeEndian.Uint32(c[12:])
	data := c[syscall.SizeofCmsghdr:]
	switch {
	case level == syscall.IPPROTO_IP && kind == syscall.IP_PKTINFO && len(data) >= syscall.SizeofInet4Pktinfo:
		return netip.AddrFrom4([4]byte(data[4:8]))
	case level == syscall.IPPROTO_IPV6 && kind == syscall.IPV6_PKTINFO && len(data) >= syscall.SizeofInet6Pktinfo:
		return netip.AddrFrom16([16]byte(data[:16])).Unmap()
	}
	return netip.Addr{}
}

// sendPatience is how long a send waits for room in the socket's buffer, which
// is as long as the network card takes; then the datagram is lost, as datagrams
// may be.
const sendPatience = 50 * time.Millisecond

// write sends at once; only where the socket's buffer is full does it wait.
func (s *fastSocket) write(b []byte, to netip.AddrPort, from netip.Addr) error {
	var name syscall.RawSockaddrInet6
	size := s.sockaddr(&name, to)
	if size == 0 {
		return ErrFlowGone
	}
	errno := s.try(b, &name, size, from)
	if errno == syscall.EAGAIN {
		s.wait(pollOut, sendPatience)
		errno = s.try(b, &name, size, from)
	}
	switch errno {
	case 0:
		return nil
	case syscall.EBADF:
		return ErrFlowGone
	}
	return datagramError(os.NewSyscallError("sendto", errno))
}

func (s *fastSocket) try(b []byte, name *syscall.RawSockaddrInet6, size uintptr, from netip.Addr) syscall.Errno {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return syscall.EBADF
	}
	if from.Is4() || from.Is6() && s.v6 && from.Zone() == "" {
		switch errno := s.sendMessage(b, name, size, from); errno {
		case syscall.EINVAL, syscall.EADDRNOTAVAIL, syscall.ENETUNREACH:
			// Perhaps the host has lost that address: let the system choose.
		default:
			return errno
		}
	}
	return s.sendTo(b, name, size)
}

// sockaddr fills name for this socket's family and gives its size, 0 if the
// socket cannot reach such an address.
func (s *fastSocket) sockaddr(name *syscall.RawSockaddrInet6, to netip.AddrPort) uintptr {
	if s.v6 {
		name.Family, name.Port, name.Addr = syscall.AF_INET6, toNetwork(to.Port()), to.Addr().As16()
		if zone := to.Addr().Zone(); zone != "" { // link-local
			name.Scope_id = scope(zone)
		}
		return syscall.SizeofSockaddrInet6
	}
	if !to.Addr().Is4() {
		return 0
	}
	sa := (*syscall.RawSockaddrInet4)(unsafe.Pointer(name))
	sa.Family, sa.Port, sa.Addr = syscall.AF_INET, toNetwork(to.Port()), to.Addr().As4()
	return syscall.SizeofSockaddrInet4
}

// scope is the interface that a zone names, by number or by name.
func scope(zone string) uint32 {
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index)
	}
	return 0
}

func (s *fastSocket) sendTo(b []byte, name *syscall.RawSockaddrInet6, size uintptr) syscall.Errno {
	for {
		_, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(s.fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0,
			uintptr(unsafe.Pointer(name)), size)
		if errno != syscall.EINTR {
			return errno
		}
	}
}

// sendMessage is sendTo with the source address chosen.
func (s *fastSocket) sendMessage(b []byte, name *syscall.RawSockaddrInet6, size uintptr, from netip.Addr) syscall.Errno {
	var control [pktinfoRoom]byte
	used := putPktinfo(&control, from, s.v6)
	return s.sendmsg(b, name, size, control[:used])
}

func (s *fastSocket) sendmsg(b []byte, name *syscall.RawSockaddrInet6, size uintptr, control []byte) syscall.Errno {
	iov := syscall.Iovec{Base: unsafe.SliceData(b)}
	iov.SetLen(len(b))
	header := syscall.Msghdr{Name: (*byte)(unsafe.Pointer(name)), Namelen: uint32(size), Iov: &iov, Iovlen: 1,
		Control: &control[0]}
	header.SetControllen(len(control))
	for {
		_, _, errno := syscall.RawSyscall(syscall.SYS_SENDMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&header)), 0)
		if errno != syscall.EINTR {
			return errno
		}
	}
}

// udpSegment is UDP_SEGMENT of linux/udp.h: into how long datagrams a send's bytes
// are cut (generic segmentation offload).
const udpSegment = 103

// segmentRoom holds one UDP_SEGMENT.
const segmentRoom = (syscall.SizeofCmsghdr + 2 + 7) &^ 7

// writeRun sends b as datagrams of size bytes with one system call.
//
// The system refuses what would need fragments, for which the path's MTU decides,
// and all of it before Linux 4.18 and where checksums cannot be added last. So
// that not every run finds that out anew, a refusal counts for the socket; what
// stays on this host, where the MTU is longer than any datagram, counts apart.
func (s *fastSocket) writeRun(b []byte, size int, to netip.AddrPort, from netip.Addr) error {
	longest := &s.longest
	if to.Addr().IsLoopback() {
		longest = &s.longestHere
	}
	var name syscall.RawSockaddrInet6
	nameSize := s.sockaddr(&name, to)
	if int64(size) > longest.Load() || nameSize == 0 {
		return errNoRun
	}
	var control [segmentRoom + pktinfoRoom]byte
	binary.NativeEndian.PutUint64(control[0:], syscall.SizeofCmsghdr+2)
	binary.NativeEndian.PutUint32(control[8:], syscall.IPPROTO_UDP)
	binary.NativeEndian.PutUint32(control[12:], udpSegment)
	binary.NativeEndian.PutUint16(control[syscall.SizeofCmsghdr:], uint16(size))
	used := segmentRoom
	if from.Is4() || from.Is6() && s.v6 && from.Zone() == "" {
		used += putPktinfo((*[pktinfoRoom]byte)(control[segmentRoom:]), from, s.v6)
	}
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return ErrFlowGone
	}
	errno := s.sendmsg(b, &name, nameSize, control[:used])
	if errno == syscall.EINVAL && used > segmentRoom { // perhaps the host has lost that address
		errno = s.sendmsg(b, &name, nameSize, control[:segmentRoom])
	}
	switch errno {
	case 0:
		return nil
	case syscall.EINVAL, syscall.EMSGSIZE:
		longest.Store(int64(size - 1))
	case syscall.EIO, syscall.EOPNOTSUPP:
		longest.Store(0)
	}
	return os.NewSyscallError("sendmsg", errno)
}

// putPktinfo writes the control message that names the source address, and
// gives its size with padding. The interface index stays 0: the route decides.
func putPktinfo(c *[pktinfoRoom]byte, from netip.Addr, v6 bool) int {
	put := func(level, kind, size int) {
		binary.NativeEndian.PutUint64(c[0:], uint64(syscall.SizeofCmsghdr+size))
		binary.NativeEndian.PutUint32(c[8:], uint32(level))
		binary.NativeEndian.PutUint32(c[12:], uint32(kind))
	}
	data := c[syscall.SizeofCmsghdr:]
	if v6 {
		put(syscall.IPPROTO_IPV6, syscall.IPV6_PKTINFO, syscall.SizeofInet6Pktinfo)
		a := from.As16()
		copy(data, a[:])
		return pktinfoRoom
	}
	put(syscall.IPPROTO_IP, syscall.IP_PKTINFO, syscall.SizeofInet4Pktinfo)
	a := from.As4()
	copy(data[4:], a[:])
	return (syscall.SizeofCmsghdr + syscall.SizeofInet4Pktinfo + 7) &^ 7
}

// stop ends reading; the eventfd stays readable, for every reader to see.
func (s *fastSocket) stop() {
	s.stopped.Store(true)
	s.life.RLock()
	defer s.life.RUnlock()
	if !s.closed {
		one := [8]byte{1, 1, 1, 1, 1, 1, 1, 1} // any number but zero, in either byte order
		_, _ = syscall.Write(s.wake, one[:])
	}
}

func (s *fastSocket) close() {
	s.stop()
	s.life.Lock()
	defer s.life.Unlock()
	if !s.closed {
		s.closed = true
		_ = syscall.Close(s.fd)
		_ = syscall.Close(s.wake)
	}
}

// toNetwork and fromNetwork convert a port to and from network byte order.
func toNetwork(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}

func fromNetwork(port uint16) uint16 { return toNetwork(port) }
