package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/tacit-presence/tacit/presence"
)

// The control socket is DIR/control.sock: HTTP with JSON over a unix socket
// that its owner alone may open. Whoever can open it may do all that Admin
// can, so the file's mode is the only lock.
const (
	controlName = "control.sock"
	// maxControlBody bounds a request; a document of xcap.DefaultMaxDocument, which
	// is base64 here, is the largest.
	maxControlBody = 1 << 20
	// controlTimeout bounds reading a request, which comes from this machine.
	controlTimeout = 10 * time.Second
	// longestSocket is what a unix address holds on every system we know
	// (104 bytes with the closing zero on BSD, 108 on Linux).
	longestSocket = 103
)

// controlCall is the body of every request; each operation reads the fields
// that it needs.
type controlCall struct {
	User       *NewUser     `json:"user,omitempty"`
	Name       string       `json:"name,omitempty"`
	Password   string       `json:"password,omitempty"`
	Presentity presence.AOR `json:"presentity,omitempty"`
	Watcher    presence.AOR `json:"watcher,omitempty"`
	Decision   string       `json:"decision,omitempty"`
	ID         string       `json:"id,omitempty"`

	Query    *ExplainQuery  `json:"query,omitempty"`
	Document *DocumentInput `json:"document,omitempty"`
}

// LogValue shows what the operation was asked with, but no password.
func (c controlCall) LogValue() slog.Value {
	if c.User != nil {
		c.Name = c.User.Name
		if c.User.Domain != "" {
			c.Name += "@" + c.User.Domain
		}
	}
	var there []slog.Attr
	for _, f := range [...]struct{ key, value string }{
		{"name", c.Name}, {"presentity", string(c.Presentity)}, {"watcher", string(c.Watcher)},
		{"decision", c.Decision}, {"id", c.ID},
	} {
		if f.value != "" {
			there = append(there, slog.String(f.key, f.value))
		}
	}
	return slog.GroupValue(there...)
}

// controlFault is the body of every answer but 200.
type controlFault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// controlCodes name the errors of Admin on the wire.
var controlCodes = map[string]error{
	"no-user": ErrNoUser,
	"exists":  ErrExists,
	"no-such": ErrNoSuch,
	"stopped": ErrStopped,
	"invalid": ErrInvalid,
}

// controlOps is what the socket offers. An operation's result is sent as JSON;
// nil as null.
var controlOps = map[string]func(a Admin, c *controlCall) (any, error){
	"users":       func(a Admin, _ *controlCall) (any, error) { return a.Users() },
	"add-user":    addUser,
	"remove-user": func(a Admin, c *controlCall) (any, error) { return nil, a.RemoveUser(c.Name) },
	"set-password": func(a Admin, c *controlCall) (any, error) {
		return nil, a.SetPassword(c.Name, c.Password)
	},
	"set-rule": func(a Admin, c *controlCall) (any, error) {
		h, err := ParseDecision(c.Decision)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		return nil, a.SetRule(c.Presentity, c.Watcher, h)
	},
	"remove-rule": func(a Admin, c *controlCall) (any, error) {
		return nil, a.RemoveRule(c.Presentity, c.Watcher)
	},
	"rules":   func(a Admin, c *controlCall) (any, error) { return a.Rules(c.Presentity) },
	"pending": func(a Admin, c *controlCall) (any, error) { return a.Pending(c.Presentity) },
	"subs":    func(a Admin, c *controlCall) (any, error) { return a.Subs(c.Presentity) },
	"end-sub": func(a Admin, c *controlCall) (any, error) { return nil, a.EndSub(c.ID) },
	"pubs":    func(a Admin, c *controlCall) (any, error) { return a.Pubs(c.Presentity) },
	"end-pub": func(a Admin, c *controlCall) (any, error) { return nil, a.EndPub(c.ID) },
	"explain": func(a Admin, c *controlCall) (any, error) {
		if c.Query == nil {
			return nil, errNothingAsked
		}
		return a.Explain(c.Presentity, *c.Query)
	},
	"compare-rules": withDocument(func(a Admin, c *controlCall) (any, error) { return a.CompareRules(c.Presentity, *c.Document) }),
	"documents":     func(a Admin, c *controlCall) (any, error) { return a.Documents(c.Presentity) },
	"document":      withDocument(func(a Admin, c *controlCall) (any, error) { return a.Document(c.Presentity, c.Document.DocumentName) }),
	"put-document":  withDocument(func(a Admin, c *controlCall) (any, error) { return nil, a.PutDocument(c.Presentity, *c.Document) }),
	"remove-document": withDocument(func(a Admin, c *controlCall) (any, error) {
		return nil, a.RemoveDocument(c.Presentity, c.Document.DocumentName)
	}),
	"watchers": func(a Admin, c *controlCall) (any, error) { return a.Watchers(c.Presentity) },
	"health":   func(a Admin, _ *controlCall) (any, error) { return a.Health(), nil },
}

var errNothingAsked = fmt.Errorf("%w: the request does not say about what", ErrInvalid)

// withDocument is for operations that are about a document.
func withDocument(op func(Admin, *controlCall) (any, error)) func(Admin, *controlCall) (any, error) {
	return func(a Admin, c *controlCall) (any, error) {
		if c.Document == nil {
			return nil, errNothingAsked
		}
		return op(a, c)
	}
}

func addUser(a Admin, c *controlCall) (any, error) {
	if c.User == nil {
		return nil, fmt.Errorf("%w: there is no user in the request", ErrInvalid)
	}
	return nil, a.AddUser(*c.User)
}

// Control is the server's side of the control socket.
type Control struct {
	path string // of the socket, for removal
	http *http.Server
	done chan struct{}
}

// ListenControl opens DIR/control.sock and serves a on it until Close. The
// caller holds DIR's store: whoever has the store has the directory, so a
// socket found there is one that a killed server left, and is replaced.
func ListenControl(dir string, a Admin, log *slog.Logger) (*Control, error) {
	ln, path, err := bindControl(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open the control socket in %s: %w", dir, err)
	}
	// A trace lasts as long as its reader wants, so there is no write time-out;
	// Close ends it through the base context.
	ctx, cancel := context.WithCancel(context.Background())
	c := &Control{path: path, done: make(chan struct{})}
	c.http = &http.Server{
		Handler:           controlHandler(a, log),
		ReadHeaderTimeout: controlTimeout,
		ReadTimeout:       controlTimeout,
		IdleTimeout:       controlTimeout,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	c.http.RegisterOnShutdown(cancel)
	go func() {
		defer close(c.done)
		defer cancel()
		if err := c.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			log.Error("control socket ended", "error", err)
		}
	}()
	return c, nil
}

// bindControl binds under another name in a directory of its own, which no one
// else can enter, and moves the socket into place once its mode is right: at
// no moment can another user open it.
func bindControl(dir string) (*net.UnixListener, string, error) {
	tmp, err := os.MkdirTemp(dir, ".control-") // 0700
	if err != nil {
		return nil, "", err
	}
	defer os.RemoveAll(tmp)
	addr, release, err := socketAddress(tmp)
	if err != nil {
		return nil, "", err
	}
	defer release()
	ln, err := net.ListenUnix("unix", addr)
	if err != nil {
		return nil, "", err
	}
	ln.SetUnlinkOnClose(false) // its name is about to change
	path := filepath.Join(dir, controlName)
	bound := filepath.Join(tmp, controlName)
	if err := os.Chmod(bound, 0o600); err != nil {
		ln.Close()
		return nil, "", err
	}
	if err := os.Rename(bound, path); err != nil {
		ln.Close()
		return nil, "", err
	}
	return ln, path, nil
}

// socketAddress gives the address of dir's control socket. A path that a unix
// address cannot hold is reached through an open descriptor of dir; release
// closes it, once the address has been used.
func socketAddress(dir string) (addr *net.UnixAddr, release func(), err error) {
	path := filepath.Join(dir, controlName)
	if len(path) <= longestSocket {
		return &net.UnixAddr{Name: path, Net: "unix"}, func() {}, nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	short := filepath.Join("/proc/self/fd", strconv.Itoa(int(f.Fd())))
	if _, err := os.Stat(short); err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("the path %s is too long for a socket here; use a shorter directory", path)
	}
	return &net.UnixAddr{Name: filepath.Join(short, controlName), Net: "unix"}, func() { f.Close() }, nil
}

// Close removes the socket and waits for the requests under way, at most until
// ctx ends. Call it before the store is closed: afterwards the directory may be
// another server's, with a socket of its own.
func (c *Control) Close(ctx context.Context) error {
	err := os.Remove(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	err = errors.Join(err, c.http.Shutdown(ctx))
	if ctx.Err() != nil {
		c.http.Close()
	}
	<-c.done
	return err
}

func controlHandler(a Admin, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /trace", func(w http.ResponseWriter, r *http.Request) { serveTrace(w, r, a) })
	for name, op := range controlOps {
		mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
			var call controlCall
			if !readCall(w, r, &call) {
				return
			}
			result, err := op(a, &call)
			if err != nil {
				log.Info("control request refused", "operation", name, "request", call, "error", err)
				writeFault(w, err)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(result) // an error here means that the asker is gone
		})
	}
	return mux
}

func readCall(w http.ResponseWriter, r *http.Request, call *controlCall) bool {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControlBody))
	dec.DisallowUnknownFields() // an older server must not do half of what a newer tool asks
	if err := dec.Decode(call); err != nil {
		writeFault(w, fmt.Errorf("%w: %w", ErrInvalid, err))
		return false
	}
	return true
}

func writeFault(w http.ResponseWriter, err error) {
	f := controlFault{Message: err.Error()}
	status := http.StatusInternalServerError
	for code, sentinel := range controlCodes {
		if errors.Is(err, sentinel) {
			f.Code, status = code, http.StatusConflict
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(f)
}

// serveTrace streams one JSON line a message. Its status waits for the first
// of them, so that a refusal can still be told.
func serveTrace(w http.ResponseWriter, r *http.Request, a Admin) {
	var call controlCall
	if !readCall(w, r, &call) {
		return
	}
	out := http.NewResponseController(w)
	out.SetReadDeadline(time.Time{}) // a trace outlasts the time-out of a request
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	started := false
	start := func() error {
		started = true
		w.WriteHeader(http.StatusOK)
		return out.Flush()
	}
	err := a.Trace(r.Context(), call.Presentity, func(l TraceLine) error {
		if !started {
			if err := start(); err != nil {
				return err
			}
		}
		if err := enc.Encode(l); err != nil {
			return err
		}
		return out.Flush()
	})
	if err != nil && !started && !errors.Is(err, context.Canceled) {
		writeFault(w, err)
	}
}
