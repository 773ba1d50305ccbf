/** `package` in the command tree. */
import { Option, type Command } from "commander";
import { PACKAGE_LEVEL_DEFAULT } from "../../protocol/limits.ts";
import { parseDurationWithin, parseExitCodes, parseWhole } from "./arguments.ts";
import type { OperatorOptions } from "./operator.ts";
import type { PublishOptions } from "./publish.ts";
import type { Session } from "./terminal.ts";
import { group, operatorVerb } from "./verb.ts";

export function addPackageCommands(program: Command, session: Session): void {
  const packages = group(program, "package", "publish, activate and list packages");
  addPublishCommand(packages, session);
  operatorVerb(packages, "activate <package@version>", "let it be deployed", [
    "branchline package activate acme/app@1.2.3",
    "branchline package activate acme/app@1.2.3 --json",
    "branchline package activate acme/app@1.2.3 --data /srv/branchline",
  ]).action(async (ref: string, options: OperatorOptions) =>
    (await import("./package.ts")).activatePackage(ref, options, session),
  );
  operatorVerb(packages, "list", "list the packages of the fleet", [
    "branchline package list",
    "branchline package list --json",
    "branchline package list --context work",
  ]).action(async (options: OperatorOptions) =>
    (await import("./package.ts")).listPackages(options, session),
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
    .option("--compression <1..19>", "zstd level (default: 12)", parseWhole("--compression", 1, 19))
    .option("--key, --keys <file>", "file of the offline keys (default: where `init` put it)");
  publish.action(async (path: string | undefined, options: PublishOptions) =>
    (await import("./publish.ts")).publish(path, options, session),
  );
}
