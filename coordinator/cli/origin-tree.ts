/** `origin` in the command tree. */
import type { Command } from "commander";
import type { OperatorOptions } from "./operator.ts";
import type { OriginAddOptions, OriginExportOptions } from "./origin.ts";
import type { Session } from "./terminal.ts";
import { group, listed, operatorVerb } from "./verb.ts";

export function addOriginCommands(program: Command, session: Session): void {
  const origin = group(program, "origin", "web servers, buckets and CDNs as sources of content");
  operatorVerb(origin, "add <url>", "let nodes fetch from there before the coordinator", [
    "branchline origin add https://cdn.example/fleet",
    "branchline origin add https://files.berlin.example --site berlin --site bonn",
    "branchline origin add https://files.example:8443 --ca ./authority.pem --json",
  ])
    .option("--site <name>", "only nodes of this site, may be repeated (default: all)", listed)
    .option("--ca <file>", "PEM of the only authority for its certificate (default: the system's)")
    .action(async (url: string, options: OriginAddOptions) =>
      (await import("./origin.ts")).addOrigin(url, options, session),
    );
  operatorVerb(origin, "remove <url>", "let nodes ask it no more", [
    "branchline origin remove https://cdn.example/fleet",
    "branchline origin remove https://cdn.example/fleet --json",
    "branchline origin remove https://cdn.example/fleet --context work",
  ]).action(async (url: string, options: OperatorOptions) =>
    (await import("./origin.ts")).removeOrigin(url, options, session),
  );
  operatorVerb(origin, "list", "list the origins, what they gave, and the key of the tokens", [
    "branchline origin list",
    "branchline origin list --json",
    "branchline origin list --context work",
  ]).action(async (options: OperatorOptions) =>
    (await import("./origin.ts")).listOrigins(options, session),
  );
  operatorVerb(origin, "export <package@version>", "write a package as files for a web server", [
    "branchline origin export acme/app@1.2.3 --to /srv/www/fleet",
    "branchline origin export acme/app@1.2.3 --to ./fleet --json",
    "branchline origin export acme/app@1.2.3 --to ./fleet && rclone copy ./fleet bucket:fleet",
  ])
    .requiredOption("--to <dir>", "folder that the server shows; fragments/ is made in it")
    .action(async (ref: string, options: OriginExportOptions) =>
      (await import("./origin.ts")).exportOrigin(ref, options, session),
    );
}
