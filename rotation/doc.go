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
// To recognize the key in the store, Rotate compares fingerprints: eight bytes of a hash of
// the key's value, in an annotation. Do not change these annotations. Whoever tampers with
// them can harm only keys of the same owner:
//
//	rotation/root         the uid of the first key of the lineage
//	rotation/fingerprint  the fingerprint; it is set before the key is given to the store
//	rotation/replaces     the uid of the key that was in the store before
//	rotation/retired      when the key ends; see Replaced
//
// The first key has no fingerprint. If the stored value works as a credential, the first
// rotation trusts that it is the value of this key.
//
// A key that is not in the store may be in use nevertheless: a Save can take effect after its
// run was killed, and the path of a store can be wrong. Such a key keeps working for at least
// eight days, even without an overlap, and only keys that are older than the stored one are
// retired. Therefore, run the rotation at least once a week.
//
// A killed run can leave a key that was never given to the store. Nobody has its value. A
// rotation that creates a key deletes such keys if they are older than an hour, and keys that
// expired more than three hours ago.
//
// # After an error
//
// Call Rotate again, with the same store: it resumes. The error says which keys work, who may
// have them, and when they end. No key needs to be deleted by hand. In particular:
//
//   - If the store keeps failing, Rotate creates at most five keys in two hours. Of those
//     that are older, it keeps the newest two.
//   - If the key in the store is inactive, somebody has revoked it. Rotate does not undo
//     this: it returns an error. If the key is revoked while Rotate runs, it returns an
//     error and leaves no key that works.
//   - [ErrReverted]: something has changed the store, for example a backup or a controller
//     that restores an older value. The rotation has repaired the store. Look for the cause
//     while the old key works.
//   - If older keys cannot be retired, for example without the permission apiKey.delete, the
//     error names them, and a key that expires within RenewBefore is replaced nevertheless.
//     If RenewBefore is 0, it is replaced only after half of its lifetime.
//   - If the owner has reached the limit of keys (20 by default), Rotate cannot create one:
//     a rotation needs room for one more key.
//
// # Overlap
//
// The overlap must be longer than the time until every program has read the new key, plus
// the difference between the clocks. That time depends on the programs:
//
//   - Programs that use [palette.WithAPIKeyFile] with the file of a [FileStore] on the same
//     machine need no overlap: they read the file again if the old key is rejected.
//   - A mounted Kubernetes Secret shows a new key some two minutes later: use ten minutes or
//     more. Where it is mounted with subPath, or read into an environment variable, a program
//     sees the new key only after a restart.
//   - Programs that read the key once need an overlap as long as they run.
//   - Programs that read a copy of the store (see below) need the time until the copy is
//     updated as well.
//
// # Stores
//
// A store must be readable: otherwise a run cannot know whether an interrupted one has saved
// its key. Each key needs a store of its own. For a place that can only be written, such as a
// secret of a CI system, there are two ways:
//
//   - Keep the key in a store that can be read, and copy it from there. Copy it after every
//     run, not only after a rotation, so that the next run repeats a copy that failed.
//   - Let a job that uses the secret rotate it. The job can read the secret from its own
//     variable: Load returns the variable until Save has succeeded, and then the saved key.
//
// # Permissions and limits
//
// The user of the client's credential needs the permissions apiKey.create, delete, get, list
// and update. To rotate keys of other users, it must be a tenant administrator. The owner of
// the key needs no permission. A program that rotates its own key must read that key from
// the store.
//
//   - If RenewBefore is not 0, a stored key that never expires is never due.
//   - The clocks must differ by less than the overlap.
//   - A long overlap with frequent rotations can reach the limit of keys, as can a store in
//     which something restores old keys again and again.
//   - To replace a key by hand, put the new one into the store and delete the old one.
//   - Two rotations of one key at once do no harm, but one of them may return an error.
package rotation
