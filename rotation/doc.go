// Package rotation replaces an API key so that what the store of the key holds works at
// every moment, also if the program is killed at any point and run again.
//
// Steps: if the key is due, [Rotate] creates a new key, proves that it works, saves it, loads
// it and compares. Then it retires the keys that interrupted runs left, and the old key last.
// With an overlap, to retire means to set the expiry; without one, to delete.
//
// After an error, run it again with the same store. If it is [palette.ErrNotFound], call
// [Find]. A program that rotates its own key must read that key from the store.
//
// The overlap must be longer than programs take to read the stored key again, and than the
// difference between the clocks. With [palette.WithAPIKeyFile], a program needs no overlap.
//
// Two rotations of one key must not run at the same time: each would retire the new key of
// the other. With cron, use flock(1); in a CronJob of Kubernetes, concurrencyPolicy: Forbid.
//
// The user of the client needs the permissions apiKey.create, delete, get, list and update;
// to rotate keys of other users, it must be a tenant administrator. The owner needs none.
package rotation
