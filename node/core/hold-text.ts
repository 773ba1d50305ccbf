/** Why a job waits, as a sentence for a person. */
import type { Hold } from "./holds.ts";

/** `nameOf` turns a job into the package that it is about. */
export function holdText(hold: Hold, nameOf: (job: string) => string): string {
  switch (hold.kind) {
    case "conditions":
      return `${conditionText(hold.reason)}${untilText(hold.untilMs)}`;
    case "dependency":
      return `waits for a dependency: ${hold.path.map(nameOf).join(" > ")}`;
    case "sequence":
      return `waits for ${nameOf(hold.job)}, which comes before it in its sequence`;
    case "levelZero":
      return `blocked by ${nameOf(hold.job)}: it has level 0 and has not succeeded yet`;
    case "power":
      return hold.need === "shutdown"
        ? "waits until the system has been shut down and started again"
        : "waits for a restart of the system";
    default:
      return hold satisfies never;
  }
}

function conditionText(reason: Extract<Hold, { kind: "conditions" }>["reason"]): string {
  switch (reason) {
    case "beforeStart":
      return "waits for its start";
    case "outsideAddresses":
      return "waits until the endpoint has an address of its ranges";
    case "outsideTimeFrame":
      return "waits for its time frame";
    case "doesNotFit":
      return "waits for a time frame that it fits into";
    default:
      return reason satisfies never;
  }
}

function untilText(untilMs: number | undefined): string {
  return untilMs === undefined ? "" : ` until ${new Date(untilMs).toISOString()}`;
}
