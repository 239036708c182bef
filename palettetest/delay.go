package palettetest

import (
	"cmp"
	"slices"
	"time"
)

// WithKeyDelay makes a new key get 401 as a credential until d after its creation, as in
// services that distribute keys to several servers. The default is that a new key works at
// once (assumed: C4).
func WithKeyDelay(d time.Duration) Option {
	return func(c *config) { c.keyDelay = d }
}

// WithListDelay makes the list show every change only d later: the creation, the update
// and the deletion of a key, as when the list comes from a replica. All other operations
// work with the current keys. A key of [Server.AddKey] counts as created at its CreatedAt.
// The default is that the list is up to date (assumed: C5).
func WithListDelay(d time.Duration) Option {
	return func(c *config) { c.listDelay = d }
}

// tooNew reports whether a key does not work yet.
func (s *Server) tooNew(k *storedKey) bool {
	return s.cfg.now().Before(k.CreatedAt.Add(s.cfg.keyDelay))
}

// change is a change that the list does not show yet.
type change struct {
	at      time.Time
	key     storedKey // after the change
	deleted bool
}

// changed records a change of a key for the list.
func (s *Server) changed(k *storedKey, at time.Time, deleted bool) {
	if s.cfg.listDelay > 0 {
		s.changes = append(s.changes, change{at, *k, deleted})
	}
}

// listed returns the keys that the list shows, in the order of creation.
func (s *Server) listed() []*storedKey {
	if s.cfg.listDelay <= 0 {
		return s.keys
	}
	visible := s.cfg.now().Add(-s.cfg.listDelay)
	s.changes = slices.DeleteFunc(s.changes, func(c change) bool {
		if c.at.After(visible) {
			return false
		}
		s.visible = slices.DeleteFunc(s.visible, func(k *storedKey) bool { return k.serial == c.key.serial })
		if !c.deleted {
			s.visible = append(s.visible, &c.key)
		}
		return true
	})
	slices.SortFunc(s.visible, func(a, b *storedKey) int { return cmp.Compare(a.serial, b.serial) })
	return s.visible
}
