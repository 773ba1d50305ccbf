/** What hands out jobs in the command tree: containers, rules, rollouts, windows, deployments. */
import { Option, type Command } from "commander";
import type { ContainerOptions } from "./container.ts";
import type { ChangingOptions } from "./group.ts";
import type { RetryOptions } from "./job-control.ts";
import type { OperatorOptions } from "./operator.ts";
import type { RolloutOptions } from "./rollout.ts";
import type { RuleOptions } from "./rule.ts";
import { addScheduleOptions, type ScheduleOptions } from "./schedule-options.ts";
import type { Session } from "./terminal.ts";
import { changingVerb, group, listed, operatorVerb } from "./verb.ts";

export function addJobCommands(program: Command, session: Session): void {
  addContainerCommands(program, session);
  addRuleCommands(program, session);
  addRolloutCommands(program, session);
  addWindowCommands(program, session);
  addDeploymentCommands(program, session);
  addControlCommands(program, session);
}

function addContainerCommands(program: Command, session: Session): void {
  const containers = group(program, "container", "job containers: jobs that run once");
  const create = changingVerb(
    containers,
    "create <name>",
    "one job for each endpoint and package",
    [
      "branchline container create update-42 --endpoint-group counters --package acme/app@2.0",
      "branchline container create app-2 --having acme/app@1.2.3 --package acme/app@2.0 --wake --shutdown",
      "branchline container create off --operation uninstall --having acme/app@1.2.3 --package acme/app@1.2.3",
    ],
  )
    .option("--endpoint <name>", "an endpoint; repeat it for each", listed)
    .option("--endpoint-group <name>", "everyone in this group right now", listed)
    .option("--having <package@version>", "everyone who has it installed", listed)
    .option("--package <package@version>", "a package; the order is that of the jobs", listed)
    .option("--package-group <name>", "the packages of this group", listed)
    .addOption(
      new Option("--operation <operation>", "what to do (default: install)").choices([
        "install",
        "uninstall",
        "launch",
      ]),
    )
    .option("--force", "install also where the same version is there");
  addScheduleOptions(create).action(async (name: string, options: ContainerOptions) =>
    (await import("./container.ts")).createContainer(name, options, session),
  );
  addContainerViews(containers, session);
}

function addContainerViews(containers: Command, session: Session): void {
  operatorVerb(
    containers,
    "draft",
    "the selection that an endpoint's or package's page begins with",
    [
      "branchline container draft --endpoint berlin-07",
      "branchline container draft --having acme/app@1.2.3 --package acme/app@2.0 --json",
      "branchline container draft --package acme/app@2.0 --context work",
    ],
  )
    .option("--endpoint <name>", "as on the page of this endpoint")
    .option("--package <package@version>", "as on the page of this package")
    .option("--having <package@version>", "with everyone who has it")
    .action(async (options: OperatorOptions) =>
      (await import("./container.ts")).draftContainer(options, session),
    );
  const edit = changingVerb(containers, "edit <name>", "change its metadata; pending jobs follow", [
    "branchline container edit update-42 --priority 10",
    "branchline container edit update-42 --end 2026-12-31T23:00:00Z --json",
    "branchline container edit update-42 --time-frames '18:00-23:59' --dry-run",
  ]);
  addScheduleOptions(edit).action(
    async (name: string, options: ChangingOptions & ScheduleOptions) =>
      (await import("./container.ts")).editContainer(name, options, session),
  );
  operatorVerb(containers, "list", "list them with their states and run times", [
    "branchline container list",
    "branchline container list --json",
    "branchline container list --context work",
  ]).action(async (options: OperatorOptions) =>
    (await import("./container.ts")).listContainers(options, session),
  );
  operatorVerb(containers, "show <name>", "show its jobs", [
    "branchline container show update-42",
    "branchline container show update-42 --json",
    "branchline container show update-42 --context work",
  ]).action(async (name: string, options: OperatorOptions) =>
    (await import("./container.ts")).showContainer(name, options, session),
  );
  changingVerb(containers, "cancel <name>", "take it back with all jobs that did not start", [
    "branchline container cancel update-42",
    "branchline container cancel update-42 --dry-run",
    "branchline container cancel update-42 --json",
  ]).action(async (name: string, options: ChangingOptions) =>
    (await import("./group.ts")).removeObject("container", name, options, session),
  );
}

function addRuleCommands(program: Command, session: Session): void {
  const rules = group(program, "rule", "deployment rules: jobs that follow from groups");
  const set = changingVerb(rules, "set <name>", "make a rule, off at first", [
    "branchline rule set nightly --packages office --endpoints counters",
    "branchline rule set nightly --packages office --endpoints counters --time-frames '1:00-5:00'",
    "branchline rule set nightly --packages office --endpoints counters --enabled --dry-run",
  ])
    .requiredOption("--packages <group>", "its package group")
    .requiredOption("--endpoints <group>", "its endpoint group")
    .option("--enabled", "on at once, without looking at its jobs first");
  addScheduleOptions(set).action(async (name: string, options: RuleOptions) =>
    (await import("./rule.ts")).setRule(name, options, session),
  );
  const actions = [
    ["enable", "let it hand out its jobs"],
    ["disable", "hand out nothing more; its jobs stay listed"],
    ["reevaluate", "take the newest procedures of its packages"],
  ] as const;
  for (const [word, summary] of actions) {
    changingVerb(rules, `${word} <name>`, summary, [
      `branchline rule ${word} nightly`,
      `branchline rule ${word} nightly --dry-run`,
      `branchline rule ${word} nightly --json`,
    ]).action(async (name: string, options: ChangingOptions) =>
      (await import("./job-control.ts")).actOn("rules", name, word, options, session),
    );
  }
  operatorVerb(rules, "list", "list the rules", [
    "branchline rule list",
    "branchline rule list --json",
    "branchline rule list --context work",
  ]).action(async (options: OperatorOptions) =>
    (await import("./rule.ts")).listRules(options, session),
  );
  operatorVerb(rules, "show <name>", "show its jobs, also those it would make", [
    "branchline rule show nightly",
    "branchline rule show nightly --json",
    "branchline rule show nightly --context work",
  ]).action(async (name: string, options: OperatorOptions) =>
    (await import("./rule.ts")).showRule(name, options, session),
  );
  changingVerb(rules, "delete <name>", "delete a rule; nothing is uninstalled", [
    "branchline rule delete nightly",
    "branchline rule delete nightly --dry-run",
    "branchline rule delete nightly --json",
  ]).action(async (name: string, options: ChangingOptions) =>
    (await import("./group.ts")).removeObject("rule", name, options, session),
  );
}

function addRolloutCommands(program: Command, session: Session): void {
  const rollouts = group(program, "rollout", "a package group to a group in rings");
  const set = changingVerb(rollouts, "set <name>", "make a rollout; its first ring opens at once", [
    "branchline rollout set app-2 --packages office --endpoints all --ring pilot:5 --ring rest:100",
    "branchline rollout set app-2 --packages office --endpoints all --ring it:group=admins,delay=24 --ring rest:100,error=5",
    "branchline rollout set app-2 --packages office --endpoints all --ring all:100 --dry-run",
  ])
    .requiredOption("--packages <group>", "its package group")
    .requiredOption("--endpoints <group>", "its endpoint group")
    .requiredOption(
      "--ring <ring>",
      "NAME:PERCENT or NAME:group=GROUP; repeat it in order",
      listed,
    );
  addScheduleOptions(set).action(async (name: string, options: RolloutOptions) =>
    (await import("./rollout.ts")).setRollout(name, options, session),
  );
  for (const word of ["stop", "resume"] as const) {
    const summary = word === "stop" ? "hand out nothing more" : "go on in spite of its failures";
    changingVerb(rollouts, `${word} <name>`, summary, [
      `branchline rollout ${word} app-2`,
      `branchline rollout ${word} app-2 --dry-run`,
      `branchline rollout ${word} app-2 --json`,
    ]).action(async (name: string, options: ChangingOptions) =>
      (await import("./job-control.ts")).actOn("rollouts", name, word, options, session),
    );
  }
  operatorVerb(rollouts, "list", "list them with their rings", [
    "branchline rollout list",
    "branchline rollout list --json",
    "branchline rollout list --context work",
  ]).action(async (options: OperatorOptions) =>
    (await import("./rollout.ts")).listRollouts(options, session),
  );
  operatorVerb(rollouts, "status <name>", "show how its rings stand", [
    "branchline rollout status app-2",
    "branchline rollout status app-2 --json",
    "branchline rollout status app-2 --context work",
  ]).action(async (name: string, options: OperatorOptions) =>
    (await import("./rollout.ts")).showRollout(name, options, session),
  );
  changingVerb(rollouts, "delete <name>", "delete a rollout; nothing is uninstalled", [
    "branchline rollout delete app-2",
    "branchline rollout delete app-2 --dry-run",
    "branchline rollout delete app-2 --json",
  ]).action(async (name: string, options: ChangingOptions) =>
    (await import("./group.ts")).removeObject("rollout", name, options, session),
  );
}

type WindowOptions = ChangingOptions & {
  readonly endpoints: string;
  readonly timeFrames: string;
  readonly zone?: string;
};

function addWindowCommands(program: Command, session: Session): void {
  const windows = group(program, "window", "maintenance windows: when a group may execute");
  changingVerb(windows, "set <name>", "make a window; content comes at any time", [
    "branchline window set nights --endpoints counters --time-frames '20:00-6:00'",
    "branchline window set nights --endpoints counters --time-frames '20:00-6:00' --zone Europe/Berlin",
    "branchline window set nights --endpoints counters --time-frames '20:00-6:00' --dry-run",
  ])
    .requiredOption("--endpoints <group>", "its endpoint group")
    .requiredOption("--time-frames <list>", "such as 20:00-6:00,SAT 0:00-23:59")
    .option("--zone <name>", "time zone (default: the coordinator's)")
    .action(async (name: string, options: WindowOptions) => {
      const { endpoints, timeFrames, zone } = options;
      const window = { name, endpointGroup: endpoints, timeFrames };
      const object = zone === undefined ? window : { ...window, zone };
      const { applyObjects } = await import("./group.ts");
      return applyObjects({ windows: [object] }, options, session);
    });
  changingVerb(windows, "delete <name>", "delete a window", [
    "branchline window delete nights",
    "branchline window delete nights --dry-run",
    "branchline window delete nights --json",
  ]).action(async (name: string, options: ChangingOptions) =>
    (await import("./group.ts")).removeObject("window", name, options, session),
  );
}

function addDeploymentCommands(program: Command, session: Session): void {
  const deployments = group(program, "deployment", "what `deploy` made");
  operatorVerb(deployments, "list", "list them", [
    "branchline deployment list",
    "branchline deployment list --json",
    "branchline deployment list --context work",
  ]).action(async (options: OperatorOptions) =>
    (await import("./job-control.ts")).listDeployments(options, session),
  );
  changingVerb(deployments, "cancel <id>", "take one back; nothing is uninstalled", [
    "branchline deployment cancel 0f3a9c2b11d4e5f6",
    "branchline deployment cancel 0f3a9c2b11d4e5f6 --dry-run",
    "branchline deployment cancel 0f3a9c2b11d4e5f6 --json",
  ]).action(async (id: string, options: ChangingOptions) =>
    (await import("./job-control.ts")).cancelDeployment(id, options, session),
  );
}

function addControlCommands(program: Command, session: Session): void {
  for (const word of ["pause", "resume"] as const) {
    const summary =
      word === "pause"
        ? "hand out nothing more of a rule, container, rollout, assignment or deployment"
        : "hand it out again";
    changingVerb(program, `${word} <kind/name>`, summary, [
      `branchline ${word} container/update-42`,
      `branchline ${word} rule/nightly --dry-run`,
      `branchline ${word} 'assignment/office x counters' --json`,
    ]).action(async (what: string, options: ChangingOptions) =>
      (await import("./job-control.ts")).setPaused(what, word === "pause", options, session),
    );
  }
  changingVerb(program, "retry", "let failed jobs begin their attempts anew", [
    "branchline retry --package acme/app",
    "branchline retry --endpoint berlin-07 --json",
    "branchline retry --endpoint-group counters --dry-run",
  ])
    .option("--endpoint <name>", "only on this endpoint")
    .option("--endpoint-group <name>", "only on the members of this group")
    .option("--site <name>", "only at this site")
    .option("--package <name>", "only of this package")
    .option("--container <name>", "only of this job container")
    .action(async (options: RetryOptions) =>
      (await import("./job-control.ts")).retryJobs(options, session),
    );
}
