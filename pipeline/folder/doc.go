// Package folder keeps on the host what binds of apps name. It is the only owner
// of what lies below its folder, by app id:
//
//	ID/data/PATH   data of the app, which no deployment replaces and nothing here removes
//	ID/data.json   which of the folders below data containers have been given
//	ID/files/HASH  a file or folder of a commit, under the hash of its content
//
// Containers write into these folders, and who writes a repository writes their
// names. So nothing here follows a link, and no folder that a container was given
// lies on the way to another one: what the engine is told to mount cannot be
// exchanged for a link to somewhere else on the host.
package folder
