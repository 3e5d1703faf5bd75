// Package configs holds the configuration files that ship inside the binary.
package configs

import "embed"

// Profiles holds the profiles, one file each, under profiles/. What a file may say is in package profile.
//
//go:embed profiles/*.yaml
var Profiles embed.FS

// Catalogues holds the catalogues of event types, one file each, under catalogues/. What a file may say is in package
// catalogue.
//
//go:embed catalogues/*.yaml
var Catalogues embed.FS
