// Package rotation replaces an API key in a store, such as a file or a secret manager. The
// stored key works at every moment, even if the program is killed anywhere and run again, if
// the store fails or stores a key late, or if two programs rotate the key at once.
//
// # How it works
//
// A key and all keys that rotations made from it are a lineage. [Rotate] finds out which key
// of the lineage the store holds. If that key is due, it creates a new one, waits until it
// works, saves it, and loads it to compare. Then it retires the key that was replaced: with
// an overlap, it shortens the expiry; without one, it deletes the key.
//
// To recognize a key in the store, Rotate compares a fingerprint: eight bytes of a hash of
// the key's value, in an annotation. Keep these annotations; to tamper with them does harm
// only to keys of the same owner:
//
//	rotation/root         the uid of the first key of the lineage
//	rotation/fingerprint  the fingerprint; it is set before the key is given to the store
//	rotation/replaces     the uid of the key that was in the store before
//	rotation/retired      when the key ends; see [Replaced]
//
// The first key has no fingerprint. If the stored value works as a credential, the first
// rotation trusts that it is the value of this key.
//
// A key that is not in the store may be in use all the same: a Save can take effect after its
// run was killed, and the path of a store can be wrong. Such a key keeps working for at least
// eight days, also without an overlap, and only keys that are older than the stored one are
// retired. So run the rotation at least once a week. Keys that were never given to the
// store, and those that expired three hours ago, are deleted.
//
// # After an error
//
// Call Rotate again, with the same store: it resumes. The error says which keys work, who may
// have them, and when they end. No key needs to be deleted by hand. In particular:
//
//   - If the store keeps failing, Rotate creates no more than five keys in two hours, and
//     keeps the newest two of those that are older.
//   - If the key in the store is inactive, somebody has revoked it. A rotation does not undo
//     this. It also ends with an error, and leaves no key that works, if the key is revoked
//     while it runs.
//   - [ErrReverted]: something has changed the store, for example a backup or a controller
//     that restores an older value. The rotation has repaired the store. Look for the cause
//     while the old key works.
//   - If older keys cannot be ended, for example without the permission apiKey.delete, the
//     rotation of a key that expires within RenewBefore goes on and the error names them. If
//     RenewBefore is 0, a new key is created only after half of the lifetime.
//   - If a key has reached the limit of keys of its owner (20 by default), a rotation needs
//     room for one more.
//
// # Which overlap
//
// The overlap must be longer than the time until every program has read the stored key
// again, plus the difference between the clocks. What that is depends on the programs:
//
//   - Programs that use [palette.WithAPIKeyFile] with the file of a [FileStore] on the same
//     machine need none: they read the file again if the old key is rejected.
//   - A mounted Kubernetes Secret shows a new key some two minutes later: use ten minutes or
//     more. Where it is mounted with subPath, or read into an environment variable, a program
//     sees the new key only after a restart.
//   - Programs that read the key once need as long as they run.
//   - A copy of the store, as below, needs as long as until it is updated.
//
// # Stores
//
// A store must be readable: otherwise a run cannot know whether an interrupted one has saved
// its key. Each key needs a store of its own. To bring a key to a place that can only be
// written, such as a secret of a CI system, keep it in a store that can be read and copy it
// from there after every run, not only after a rotation, so that the next run repeats a copy
// that failed. Or let a job that uses the secret rotate it: in a workflow, its own
// variable is the readable copy of the secret. Load returns the variable until Save has
// succeeded, and then what was saved.
//
// # Permissions and limits
//
// The user of the client's credential needs the permissions apiKey.create, delete, get, list
// and update. To rotate keys of other users, it must be a tenant administrator. The owner of
// the key needs no permission. A program that rotates its own key must read that key from
// the store.
//
//   - Clocks should agree to within the overlap.
//   - A long overlap with frequent runs can reach the limit of keys, as can a store that
//     something puts back again and again.
//   - To replace a key by hand, put the new one into the store and delete the old one.
//   - Two rotations of one key at once do no harm, but one of them may end with an error.
package rotation
