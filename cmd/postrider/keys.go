package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/seal"
)

func newKeysCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Manage the encryption keys of stored secrets (for API keys see \"postrider key\")",
		Long: `Manage the encryption keys of stored secrets: a keyset in a file, of which one key, the primary, encrypts and all decrypt.
These are not the keys that people and programs use the HTTP API with: for those see "postrider key".

To replace a key while everything runs:

  1. postrider keys add FILE       a new key, that only decrypts yet
  2. roll the file out to every process that has it, and restart them
  3. postrider keys promote FILE   the new key encrypts
  4. roll out and restart again
  5. postrider keys rotate         encrypts what is stored with the new key
  6. postrider keys remove FILE ID and roll out: the old key opens nothing any more

Whoever has the file can read every secret; whoever loses it has lost them.`,
		Args: subcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeysGenerateCmd(), newKeysListCmd(),
		newKeysChangeCmd("add FILE", "Add an encryption key, which decrypts but does not encrypt yet", (*seal.Keyset).Add),
		newKeysChangeCmd("promote FILE", "Make the newest encryption key the primary, which encrypts", (*seal.Keyset).Promote),
		newKeysRemoveCmd(), newKeysRotateCmd())
	return cmd
}

func newKeysGenerateCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "generate FILE",
		Short: "Make a keyset with one encryption key; the file must not exist",
		Long: `Make a keyset with one encryption key, in a file that only its owner may read and that must not exist yet. - writes it to
standard output. Give it to every deliverer, API and command: encryption.keyset_file or POSTRIDER_ENCRYPTION_KEYSET.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			keyset, err := seal.Generate()
			if err != nil {
				return err
			}
			if args[0] == "-" {
				text, err := keyset.JSON()
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
				return err
			}
			if err := createKeyset(args[0], keyset); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", args[0], keyset)
			return err
		},
	}
}

func newKeysListCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "list [FILE]",
		Short: "List the encryption keys of a keyset by their ids, oldest first",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			keyset, err := listedKeyset(cmd, args)
			if err != nil {
				return err
			}
			for _, k := range keyset.Keys() {
				note := ""
				if k.Primary {
					note = "  primary"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%d%s\n", k.ID, note)
			}
			return nil
		},
	}
}

// listedKeyset is that of the file or, without one, the configured.
func listedKeyset(cmd *cobra.Command, args []string) (*seal.Keyset, error) {
	if len(args) == 1 {
		return readKeyset(args[0])
	}
	conf, err := loadConfig(cmd)
	if err != nil {
		return nil, err
	}
	return app.NeedKeyset(conf)
}

func newKeysChangeCmd(use, short string, change func(*seal.Keyset) (*seal.Keyset, error)) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return changeKeyset(cmd, args[0], change) },
	}
}

func newKeysRemoveCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "remove FILE ID",
		Short: "Remove an encryption key: what it encrypted and was not rotated cannot be read any more",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseUint(args[1], 10, 32)
			if err != nil {
				return fmt.Errorf("%q: want the id of a key, see 'postrider keys list'", args[1])
			}
			return changeKeyset(cmd, args[0], func(k *seal.Keyset) (*seal.Keyset, error) { return k.Remove(uint32(id)) }) //nolint:gosec // parsed as 32 bits
		},
	}
}

// changeKeyset replaces the keyset of a file.
func changeKeyset(cmd *cobra.Command, file string, change func(*seal.Keyset) (*seal.Keyset, error)) error {
	old, err := readKeyset(file)
	if err != nil {
		return err
	}
	keyset, err := change(old)
	if err != nil {
		return err
	}
	if err := writeKeyset(file, keyset, os.Rename); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", file, keyset)
	return err
}

func readKeyset(file string) (*seal.Keyset, error) {
	conf := config.Config{Encryption: config.Encryption{KeysetFile: file}}
	keyset, err := app.Keyset(&conf)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "encryption.keyset_file: "))
	}
	return keyset, nil
}

// createKeyset writes a keyset to a file that must not exist.
func createKeyset(file string, keyset *seal.Keyset) error {
	return writeKeyset(file, keyset, func(from, to string) error {
		return errors.Join(os.Link(from, to), os.Remove(from)) // a link, unlike a rename, replaces nothing
	})
}

// writeKeyset writes a keyset beside the file, for its owner only, and puts it in place at once.
func writeKeyset(file string, keyset *seal.Keyset, place func(from, to string) error) (err error) {
	text, err := keyset.JSON()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*") // of mode 0600
	if err != nil {
		return fmt.Errorf("writing keyset: %w", err)
	}
	_, err = f.WriteString(text + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = place(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // it may be gone
		return fmt.Errorf("writing keyset: %w", err)
	}
	return nil
}
