package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/app"
)

// newACLsCmd returns the command that prints what each role needs of Kafka.
func newACLsCmd() *cobra.Command {
	var format, principal string
	cmd := &cobra.Command{
		Use:   "acls [ROLE…]",
		Short: "Print the ACLs that roles need of Kafka",
		Long: `Prints what each role needs of Kafka under this configuration, and nothing else, in the form of the tool that grants it:

  kafka-acls   commands of Apache Kafka's kafka-acls.sh; set $BROKERS and, for their connection, $ADMIN
  strimzi      KafkaUser resources of Strimzi; set their cluster with a label of your own
  rpk          commands of Redpanda's rpk
  json         for other tools

Roles are router, deliver, retry, recorder, api, and topics for "postrider topics"; without any, all are printed. Every role may have
a user of its own (kafka.sasl.user, or its certificate); --principal says how the users are called. Commands that write to the
registry, such as "apply", "registry import" and "key create", need what api needs; those that only read it, such as "get" and
"registry export", need Read on its topic; "views rebuild" needs Delete on its group besides.`,
		Example: `  postrider acls --config postrider.yaml > acls.sh
  postrider acls deliver --format strimzi --principal webhooks-{role}`,
		ValidArgs: app.ACLRoles(),
	}
	cmd.Flags().StringVar(&format, "format", "kafka-acls", "how to print: kafka-acls, strimzi, rpk or json")
	cmd.Flags().StringVar(&principal, "principal", "postrider-{role}", "name of a role's user")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		printer, ok := aclPrinters[format]
		if !ok {
			return fmt.Errorf("--format: %q: want kafka-acls, strimzi, rpk or json", format)
		}
		conf, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		if len(args) == 0 {
			args = app.ACLRoles()
		}
		var roles []roleACLs
		for _, role := range args {
			acls, err := app.ACLs(conf, role)
			if err != nil {
				return err
			}
			roles = append(roles, roleACLs{role, strings.ReplaceAll(principal, "{role}", role), acls})
		}
		return printer(cmd.OutOrStdout(), roles)
	}
	return cmd
}

// roleACLs are the ACLs of one role, for its user.
type roleACLs struct {
	Role      string    `json:"role"`
	Principal string    `json:"principal"`
	ACLs      []app.ACL `json:"acls"`
}

var aclPrinters = map[string]func(io.Writer, []roleACLs) error{
	"kafka-acls": printKafkaACLs, "strimzi": printStrimzi, "rpk": printRPK,
	"json": func(w io.Writer, roles []roleACLs) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(roles)
	},
}

func printKafkaACLs(w io.Writer, roles []roleACLs) error {
	flags := map[string]string{"topic": "--topic", "group": "--group", "transactionalId": "--transactional-id"}
	for _, r := range roles {
		fmt.Fprintf(w, "# %s\n", r.Role)
		for _, a := range r.ACLs {
			fmt.Fprintf(w, "kafka-acls.sh --bootstrap-server \"$BROKERS\" $ADMIN --add --allow-principal '%s'", "User:"+r.Principal)
			for _, operation := range a.Operations {
				fmt.Fprintf(w, " --operation %s", operation)
			}
			fmt.Fprintf(w, " %s '%s'", flags[a.Type], a.Name)
			if a.Prefixed {
				fmt.Fprint(w, " --resource-pattern-type prefixed")
			}
			fmt.Fprintln(w)
		}
	}
	return nil
}

func printRPK(w io.Writer, roles []roleACLs) error {
	flags := map[string]string{"topic": "--topic", "group": "--group", "transactionalId": "--transactional-id"}
	names := map[string]string{"AlterConfigs": "alter_configs"}
	for _, r := range roles {
		fmt.Fprintf(w, "# %s\n", r.Role)
		for _, a := range r.ACLs {
			var operations []string
			for _, operation := range a.Operations {
				name, ok := names[operation]
				if !ok {
					name = strings.ToLower(operation)
				}
				operations = append(operations, name)
			}
			fmt.Fprintf(w, "rpk security acl create --allow-principal '%s' --operation %s %s '%s'", "User:"+r.Principal,
				strings.Join(operations, ","), flags[a.Type], a.Name)
			if a.Prefixed {
				fmt.Fprint(w, " --resource-pattern-type prefixed")
			}
			fmt.Fprintln(w)
		}
	}
	return nil
}

// printStrimzi writes https://strimzi.io/docs/operators/latest/configuring.html#type-KafkaUser-reference.
func printStrimzi(w io.Writer, roles []roleACLs) error {
	for _, r := range roles {
		fmt.Fprintf(w, "---\napiVersion: kafka.strimzi.io/v1beta2\nkind: KafkaUser\nmetadata:\n  name: %s\nspec:\n"+
			"  authentication: {type: tls}\n  authorization:\n    type: simple\n    acls:\n", r.Principal)
		for _, a := range r.ACLs {
			pattern := "literal"
			if a.Prefixed {
				pattern = "prefix"
			}
			fmt.Fprintf(w, "      - resource: {type: %s, name: %q, patternType: %s}\n        operations: [%s]\n", a.Type, a.Name, pattern,
				strings.Join(a.Operations, ", "))
		}
	}
	return nil
}
