import { describe, expect, it } from "vitest";
import { errorText, exitCodeOf, shownError } from "../../../coordinator/cli/error-text.ts";
import { DeployError } from "../../../protocol/errors.ts";

const look = { isJson: false, isDebug: false, emphasise: (text: string) => text };

describe("the error printer", () => {
  it("prints one sentence and one hint", () => {
    const error = new DeployError("CLI_NOT_RUNNING", { path: "./data" });

    expect(errorText(error, look)).toBe(
      "error: no coordinator runs on the data folder ./data\n" +
        "hint: Start it with `branchline coordinator --data ./data --listen HOST:PORT`.\n",
    );
  });

  it("prints one JSON object with code, message and hint where JSON was asked for", () => {
    const error = new DeployError("CLI_UNREACHABLE", { url: "https://x", problem: "refused" });
    const text = errorText(error, { ...look, isJson: true });

    expect(text.endsWith("\n")).toBe(true);
    expect(JSON.parse(text)).toEqual({
      code: "CLI_UNREACHABLE",
      message: "no coordinator answers at https://x: refused",
      hint: "Check that it runs and that this machine can reach the address.",
    });
  });

  it("keeps the code, the hint and the request id of the coordinator's refusal", () => {
    const error = new DeployError("CLI_REFUSED", {
      problem: "there is no site rome",
      remedy: "Create it.",
      apiCode: "SITE_UNKNOWN",
      requestId: "r1",
    });

    expect(shownError(error)).toEqual({
      code: "SITE_UNKNOWN",
      message: "there is no site rome",
      hint: "Create it.",
      requestId: "r1",
    });
  });

  it("shows no stack of an unknown error, and where to get it", () => {
    const error = new TypeError("x is undefined\nat foo");
    const text = errorText(error, look);

    expect(text).toBe(
      "error: something unexpected went wrong: x is undefined at foo\n" +
        "hint: Run again with BRANCHLINE_DEBUG=1 for details.\n",
    );
    expect(errorText(error, { ...look, isDebug: true })).toContain("errors.test.ts");
  });

  it("lets no control character of another machine reach the screen", () => {
    const error = new DeployError("CLI_REFUSED", { problem: "a\u001B[2Jb", remedy: "c\r\nd" });

    expect(errorText(error, look)).toBe("error: a [2Jb\nhint: c d\n");
  });
});

describe("exit codes", () => {
  it.each([
    ["CLI_USAGE", 2],
    ["INPUT_INVALID", 2],
    ["PUBLISH_ACTION_INVALID", 2],
    ["CLI_REFUSED", 1],
    ["CLI_INCOMPLETE", 1],
    ["CLI_NOT_RUNNING", 1],
    ["CLI_INTERRUPTED", 130],
  ] as const)("%s ends with %d", (code, exitCode) => {
    expect(exitCodeOf(new DeployError(code))).toBe(exitCode);
  });

  it("an unknown error ends with 1", () => {
    expect(exitCodeOf(new Error("x"))).toBe(1);
    expect(exitCodeOf("x")).toBe(1);
  });
});
