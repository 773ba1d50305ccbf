import { describe, expect, it } from "vitest";
import { powerArgs } from "../../../node/actions/power-command.ts";
import { outcomeOf } from "../../../node/core/outcome.ts";
import {
  mergedNeed,
  partingOf,
  powerDelayMin,
  powerNeedOf,
  type PowerNeed,
} from "../../../node/core/power.ts";

const ended = {
  job: "j",
  outcome: "success",
  postAction: undefined,
  timeoutMin: undefined,
} as const;

describe("classes of exit codes", () => {
  it("lets the package's own classes decide before its list and before the defaults", () => {
    const classes = [
      { code: 0, outcome: "retryable" },
      { code: 10, outcome: "successRebootRequired" },
    ] as const;

    expect(outcomeOf(0, [0], classes)).toBe("retryable");
    expect(outcomeOf(10, [0], classes)).toBe("successRebootRequired");
    expect(outcomeOf(3010, [0, 3010], classes)).toBe("successRebootRequired");
    expect(outcomeOf(1618, [0], classes)).toBe("retryable");
    expect(outcomeOf(1, [0], classes)).toBe("failed");
  });
});

describe("what an end asks of the system", () => {
  it("asks for nothing by default, and never after a failure", () => {
    expect(powerNeedOf(ended)).toBeUndefined();
    expect(powerNeedOf({ ...ended, outcome: "failed", postAction: "restart" })).toBeUndefined();
  });

  it("waits for somebody else's restart where only the exit code asks for one", () => {
    const need = powerNeedOf({ ...ended, outcome: "successRebootRequired" });
    expect(need).toMatchObject({ kind: "external", isOrdered: false });
  });

  it("leaves the restart to an installer that has begun it", () => {
    const need = powerNeedOf({ ...ended, outcome: "rebootInitiated", postAction: "restart" });
    expect(need?.kind).toBe("external");
  });

  it("OCO-14 waits for a logged-in user, and not where nobody is", () => {
    const need = powerNeedOf({ ...ended, postAction: "restart", timeoutMin: 15 });

    expect(need).toMatchObject({ kind: "restart", timeoutMin: 15 });
    expect(powerDelayMin(need as PowerNeed, true)).toBe(15);
    expect(powerDelayMin(need as PowerNeed, false)).toBe(0);
  });

  it("OCO-14 gives twenty minutes by default", () => {
    expect(powerNeedOf({ ...ended, postAction: "restart" })?.timeoutMin).toBe(20);
  });

  it("OCO-14 never restarts by itself where the time is negative", () => {
    const never = { ...ended, postAction: "restart", timeoutMin: -1 } as const;

    expect(powerNeedOf(never)).toBeUndefined();
    expect(powerNeedOf({ ...never, outcome: "successRebootRequired" })?.kind).toBe("external");
  });

  it("OCO-9 parts only where the coordinator says that this endpoint was woken", () => {
    expect(partingOf({ job: "j" })).toBeUndefined();
    expect(partingOf({ job: "j", shutdownAfter: false })).toBeUndefined();
    expect(partingOf({ job: "j", shutdownAfter: true })?.kind).toBe("shutdown");
  });

  it("lets the stronger of two requests count, with the longer time to save", () => {
    const restart = { kind: "restart", job: "a", timeoutMin: 30, isOrdered: false } as const;
    const shutdown = { kind: "shutdown", job: "b", timeoutMin: 5, isOrdered: false } as const;

    expect(mergedNeed(restart, shutdown)).toMatchObject({ kind: "shutdown", timeoutMin: 30 });
    expect(mergedNeed(shutdown, restart)).toMatchObject({ kind: "shutdown", timeoutMin: 30 });
  });
});

describe("the command of the system", () => {
  it("is spelt as each system spells it", () => {
    expect(powerArgs("restart", 0, "linux").slice(0, 2)).toEqual(["-r", "now"]);
    expect(powerArgs("shutdown", 20, "linux").slice(0, 2)).toEqual(["-h", "+20"]);
    expect(powerArgs("restart", 20, "win32").slice(0, 3)).toEqual(["/r", "/t", "1200"]);
  });
});
