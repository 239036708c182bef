// Package rotation replaces an API key so that what the store of the key holds works at
// every moment, also if the program is killed at any point and run again.
//
//	key, err := rotation.Find(ctx, client, "ci", "")
//	if err != nil {
//		return err
//	}
//	policy := rotation.Policy{RenewBefore: 7 * 24 * time.Hour, Overlap: time.Hour}
//	_, err = rotation.Rotate(ctx, client, key.Metadata.UID, rotation.FileStore("ci.key"), policy)
//
// # Steps
//
//  1. [Rotate] gets the old key and lists all keys. If the old key was replaced before or
//     is not due, Rotate returns. It deletes keys that were replaced and expired more
//     than an hour ago; if that fails, the next rotation does it.
//  2. If an interrupted run left new keys, Rotate saves the stored key once more, so that
//     it creates no further key for a store that does not work. If nothing is stored, it
//     deletes all of them but the newest, which a slow store may still be saving.
//  3. It creates the new key, with the name, owner, labels and annotations of the old one
//     and the annotation "rotation/replaces". This needs room for one more key.
//  4. It proves that the new key works, saves it, loads it and compares. Until then, no
//     key that may be stored has changed.
//  5. It retires the keys that interrupted runs left: the store may have held one.
//  6. It retires the old key. With an overlap, to retire means to set the expiry and the
//     annotation "rotation/replacedBy"; without one, to delete.
//
// Annotations of another user's keys have no effect, because everybody can write
// annotations on their own keys.
//
// # After an error
//
// Run it again, with the same store. The error says which keys exist and work. The next
// run replaces the old key and the keys that earlier runs left by another new key,
// because Palette does not return the value of a key again. If the error is
// [palette.ErrNotFound], call [Find] for the key that has replaced the old one. A program
// that rotates its own key must read that key from the store.
//
// # Overlap
//
// A program that reads the stored key only when it starts needs the old key until its
// next start. The overlap must be longer than that, and longer than the difference
// between the clocks. With [palette.WithAPIKeyFile], a program needs no overlap.
//
// # One at a time
//
// Two rotations of one key must not run at the same time: each would retire the new key
// of the other. With cron, run the program with flock(1):
//
//	0 3 * * * flock --nonblock /run/rotate-ci.lock rotate-ci
//
// With Kubernetes, set concurrencyPolicy: Forbid in the CronJob.
//
// # Permissions
//
// The user of the client needs apiKey.create, apiKey.delete, apiKey.get, apiKey.list and
// apiKey.update, and must be a tenant administrator to rotate keys of other users. The
// owner of the key needs no permissions.
package rotation
