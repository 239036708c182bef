// Package rotation replaces an API key. The key in the store works at every moment, even if
// the program is killed at any point and run again.
//
// If the key is due, [Rotate] creates a new key, checks that it works, saves it, and loads it
// to compare. Then it retires the keys that interrupted runs left, and the old key last. With
// an overlap, to retire a key is to set its expiry; without one, to delete it. Rotate also
// deletes keys of the same owner that it replaced and that expired more than an hour ago. It
// marks keys with the annotations rotation/replaces and rotation/replacedBy: keep them.
//
// If Rotate returns an error, call it again with the same store. If the error is
// [palette.ErrNotFound], call [Find] first. A program that rotates its own key must read that
// key from the store.
//
// The overlap must be longer than the time until every program has read the stored key again,
// plus the difference between the clocks. With [palette.WithAPIKeyFile], no overlap is needed.
//
// Two rotations of one key must not run at the same time: each would retire the new key of
// the other. With cron, use flock(1); in a CronJob of Kubernetes, concurrencyPolicy: Forbid.
//
// The user of the client's credential needs the permissions apiKey.create, delete, get, list
// and update. If it must not update or delete keys, each run leaves one more. To rotate keys
// of other users, it must be a tenant administrator. The owner of the key needs no permission,
// but room for one more key: the default limit is 20 (doc).
package rotation
