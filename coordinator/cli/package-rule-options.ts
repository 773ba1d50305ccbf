/** The options of `package publish` that say when a package may run, what it needs and how it goes. */
import { Option, type Command } from "commander";
import { parseExitCodes } from "./arguments.ts";
import { listed } from "./verb.ts";

export function addRuleOptions(publish: Command): Command {
  return publish
    .option("--rules <file>", "all package rules as YAML or JSON; the options below win")
    .option("--uninstall <command>", "takes it off again; without, it cannot be uninstalled")
    .option(
      "--uninstall-codes <codes>",
      "exit codes that mean it is gone (default: 0)",
      parseExitCodes,
    )
    .option("--on-launch <command>", "runs at every launch, also of what depends on it")
    .option(
      "--depends <edge>",
      "needs another package first: acme/lib@>=1,launch,allow-restart; repeat it",
      listed,
    )
    .option(
      "--require <text>",
      "os=, os-version=, arch=, memory=, disk=, query=; repeat it, all must hold",
      listed,
    )
    .option(
      "--detect <rule>",
      "installed where file=, software= or command= holds; repeat it",
      listed,
    )
    .option("--exit-code <code=outcome>", "class of one exit code; repeat it", listed)
    .addOption(
      new Option("--post-action <action>", "what happens afterwards (default: none)").choices([
        "none",
        "restart",
        "shutdown",
        "restartAgent",
      ]),
    )
    .addOption(
      new Option("--upgrade <mode>", "an older version there (default: explicitUninstall)").choices(
        ["explicitUninstall", "replaces", "keep"],
      ),
    )
    .option("--supersedes <package@range>", "takes the place of another package; repeat it", listed)
    .option("--conflicts <package>", "must not be there at the same time; repeat it", listed)
    .addOption(
      new Option("--version-scheme <scheme>", "how versions compare (default: numbers)").choices([
        "numbers",
        "semver",
        "deb",
        "rpm",
      ]),
    );
}
