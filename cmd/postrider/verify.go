package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/sign"
)

type verifyOptions struct {
	profile   string
	secrets   []string
	headers   []string
	raw       bool
	tolerance time.Duration
}

func newVerifyCmd() *cobra.Command {
	var opts verifyOptions
	cmd := &cobra.Command{
		Use:   "verify [BODY]",
		Short: "Say whether a request that an endpoint received is authentic and, if not, why",
		Long: `Say whether a request that an endpoint received is authentic and, if not, why.

BODY is the file of the exact bytes that came; without it, or with -, they are read from standard input. With --raw it is the
whole request as it came over the wire, its headers included. A secret is read from a file, so that it is in no list of processes
and in no history; several are tried. For an Ed25519 signature the public key, whpk_…, will do.`,
		Example: `  postrider verify --profile svix --secret-file secret.txt -H 'svix-id: msg_1' -H 'svix-timestamp: 1614265330' \
    -H 'svix-signature: v1,…' body.json
  postrider verify --profile dixa --secret-file secret.txt --raw request.txt --tolerance 0`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runVerify(cmd, args, opts) },
	}
	cmd.Flags().StringVar(&opts.profile, "profile", "standard", "the profile that the request was made with")
	cmd.Flags().StringArrayVar(&opts.secrets, "secret-file", nil, "file with a signing secret, repeatable")
	cmd.Flags().StringArrayVarP(&opts.headers, "header", "H", nil, "header of the request, repeatable: -H 'name: value'")
	cmd.Flags().BoolVar(&opts.raw, "raw", false, "BODY is a whole HTTP/1.1 request")
	cmd.Flags().DurationVar(&opts.tolerance, "tolerance", sign.DefaultTolerance, "how old a request may be; 0 for any age")
	_ = cmd.MarkFlagRequired("secret-file")
	return cmd
}

func runVerify(cmd *cobra.Command, args []string, opts verifyOptions) error {
	conf, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	profiles, err := app.Profiles(conf)
	if err != nil {
		return err
	}
	p, ok := profiles.Get(opts.profile)
	if !ok {
		return fmt.Errorf("--profile: %q: want one of %s", opts.profile, strings.Join(profiles.Names(), ", "))
	}
	if opts.tolerance < 0 {
		return fmt.Errorf("--tolerance: %s: want 0 or more", opts.tolerance)
	}
	secrets, err := readSecrets(opts.secrets)
	if err != nil {
		return err
	}
	header, body, err := readRequest(cmd, append(args, "-")[0], opts)
	if err != nil {
		return err
	}
	claim, err := sign.Verify(p.Scheme(), secrets, sign.Received{Header: header.Get, Body: body}, time.Now(), opts.tolerance)
	if refusal, ok := errors.AsType[*sign.Refusal](err); ok {
		return fmt.Errorf("not authentic (%s): %s", refusal.Reason, refusal.Detail)
	}
	if err != nil {
		return fmt.Errorf("--secret-file: %w", err)
	}
	out := "authentic"
	if claim.ID != "" {
		out += ", id " + claim.ID
	}
	if !claim.At.IsZero() {
		out += ", signed " + claim.At.UTC().Format(time.RFC3339)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), out)
	return err
}

// maxSecretFile bounds a file that somebody took for one with a secret.
const maxSecretFile = 4 << 10

func readSecrets(files []string) ([]string, error) {
	if len(files) > sign.MaxSecrets {
		return nil, fmt.Errorf("--secret-file: %d: want at most %d", len(files), sign.MaxSecrets)
	}
	secrets := make([]string, 0, len(files))
	for _, name := range files {
		text, err := os.ReadFile(name) //nolint:gosec // who runs the command names the file
		if err != nil {
			return nil, fmt.Errorf("--secret-file: %w", err)
		}
		if len(text) > maxSecretFile {
			return nil, fmt.Errorf("--secret-file: %s has %d bytes: want at most %d", name, len(text), maxSecretFile)
		}
		secrets = append(secrets, strings.TrimSpace(string(text)))
	}
	return secrets, nil
}

// readRequest returns the headers and the body of the request.
func readRequest(cmd *cobra.Command, file string, opts verifyOptions) (http.Header, []byte, error) {
	text, err := readInput(cmd, file)
	if err != nil {
		return nil, nil, err
	}
	header := http.Header{}
	if opts.raw {
		request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
		if err != nil {
			return nil, nil, fmt.Errorf("--raw: %s is no HTTP/1.1 request: %w", file, err)
		}
		if text, err = io.ReadAll(request.Body); err != nil {
			return nil, nil, fmt.Errorf("--raw: reading the body in %s: %w", file, err)
		}
		header = request.Header
	}
	for _, line := range opts.headers {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, nil, fmt.Errorf("--header: %q: want 'name: value'", line)
		}
		header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return header, text, nil
}
