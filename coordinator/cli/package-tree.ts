/** `package` in the command tree. */
import { Option, type Command } from "commander";
import { PACKAGE_LEVEL_DEFAULT } from "../../protocol/limits.ts";
import { parseDurationWithin, parseExitCodes, parseWhole } from "./arguments.ts";
import type { ChangingOptions } from "./group.ts";
import type { OperatorOptions } from "./operator.ts";
import type { DeleteOptions, ReplaceOptions } from "./package-page.ts";
import { addRuleOptions } from "./package-rule-options.ts";
import type { PublishOptions } from "./publish.ts";
import type { Session } from "./terminal.ts";
import { changingVerb, group, listed, operatorVerb } from "./verb.ts";

export function addPackageCommands(program: Command, session: Session): void {
  const packages = group(program, "package", "publish, activate and list packages");
  addPublishCommand(packages, session);
  changingVerb(packages, "activate <package@version>", "let it be deployed", [
    "branchline package activate acme/app@1.2.3",
    "branchline package activate acme/app@1.2.3 --dry-run",
    "branchline package activate acme/app@1.2.3 --json --data /srv/branchline",
  ]).action(async (ref: string, options: ChangingOptions) =>
    (await import("./package.ts")).activatePackage(ref, options, session),
  );
  changingVerb(packages, "deactivate <package@version>", "hand out nothing more of it", [
    "branchline package deactivate acme/app@1.2.3",
    "branchline package deactivate acme/app@1.2.3 --dry-run",
    "branchline package deactivate acme/app@1.2.3 --json --data /srv/branchline",
  ]).action(async (ref: string, options: ChangingOptions) =>
    (await import("./package-page.ts")).deactivate(ref, options, session),
  );
  addPageCommands(packages, session);
  operatorVerb(packages, "list", "list the packages of the fleet", [
    "branchline package list",
    "branchline package list --json",
    "branchline package list --context work",
  ]).action(async (options: OperatorOptions) =>
    (await import("./package.ts")).listPackages(options, session),
  );
}

function addPageCommands(packages: Command, session: Session): void {
  operatorVerb(packages, "show <package@version>", "show what its publisher signed", [
    "branchline package show acme/app@1.2.3",
    "branchline package show acme/app@1.2.3 --json",
    "branchline package show acme/app@1.2.3 --context work",
  ]).action(async (ref: string, options: OperatorOptions) =>
    (await import("./package-page.ts")).showPackage(ref, options, session),
  );
  operatorVerb(packages, "tree <package@version>", "show what it depends on, level by level", [
    "branchline package tree acme/app@1.2.3",
    "branchline package tree acme/app@1.2.3 --json",
    "branchline package tree acme/app@1.2.3 --context work",
  ]).action(async (ref: string, options: OperatorOptions) =>
    (await import("./package-page.ts")).showTree(ref, options, session),
  );
  changingVerb(
    packages,
    "replace <package@version> <new-version>",
    "new for old in package groups, in one step",
    [
      "branchline package replace acme/app@1.2.3 2.0",
      "branchline package replace acme/app@1.2.3 2.0 --package-group office",
      "branchline package replace acme/app@1.2.3 2.0 --dry-run --json",
    ],
  )
    .option("--package-group <name>", "only in this group; repeat it", listed)
    .action(async (ref: string, version: string, options: ReplaceOptions) =>
      (await import("./package-page.ts")).replacePackage(ref, version, options, session),
    );
  changingVerb(packages, "delete <package@version>", "delete a version that nothing uses", [
    "branchline package delete acme/app@1.2.3",
    "branchline package delete acme/app@1.2.3 --dry-run",
    "branchline package delete acme/app@1.2.3 --force --json",
  ])
    .option("--force", "although it is installed or wished for somewhere")
    .action(async (ref: string, options: DeleteOptions) =>
      (await import("./package-page.ts")).deletePackage(ref, options, session),
    );
}

function addPublishCommand(packages: Command, session: Session): void {
  const publish = operatorVerb(packages, "publish [path]", "sign and upload a package", [
    "branchline package publish ./app.zip --name acme/app --version 1.2.3 --action launch --command 'setup.exe /S'",
    "branchline package publish ./fonts --name acme/fonts --version 7 --action store --path fonts",
    "branchline package publish --name acme/policy --version 1 --action execute --command 'gpupdate /force'",
  ]);
  publish
    .requiredOption("--name <vendor/product>", "package name, such as acme/app")
    .requiredOption("--version <version>", "package version, such as 1.2.3")
    .addOption(
      new Option("--action <kind>", "what endpoints do with it")
        .choices(["launch", "execute", "store"])
        .makeOptionMandatory(),
    )
    .option("--command <text>", "program and arguments (launch, execute)")
    .option("--path <path>", "where to store the content (store)")
    .option(
      "--level <0..10>",
      "0 first and exclusive, 10 last (OCS priority)",
      parseWhole("--level", 0, 10),
      PACKAGE_LEVEL_DEFAULT,
    )
    .option("--shell", "give the command to the system's shell (execute)")
    .option("--capture-exit-code", "report the exit code (execute)")
    .option(
      "--timeout <duration>",
      "longest run time (default: 2h)",
      parseDurationWithin("--timeout", "1s", "24h"),
    )
    .option(
      "--success-codes <codes>",
      "exit codes that mean success (default: 0; '' for all)",
      parseExitCodes,
    )
    .option(
      "--epoch <n>",
      "higher than before: older versions never run again",
      parseWhole("--epoch", 1, 1_000_000),
      1,
    )
    .option(
      "--delta-from <versions>",
      "make patches from these versions (default: the last two active ones)",
      (text: string) => text.split(",").map((version) => version.trim()),
    )
    .option("--no-delta", "make no patches")
    .option("--compression <1..19>", "zstd level (default: 12)", parseWhole("--compression", 1, 19))
    .option("--key, --keys <file>", "file of the offline keys (default: where `init` put it)");
  addRuleOptions(publish);
  publish.action(async (path: string | undefined, options: PublishOptions) =>
    (await import("./publish.ts")).publish(path, options, session),
  );
}
