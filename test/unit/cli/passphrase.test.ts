import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { knownPassphrase, newPassphrase } from "../../../coordinator/cli/passphrase.ts";
import { memorySession, type MemoryOptions } from "./memory-session.ts";

async function chosen(options: MemoryOptions): Promise<string> {
  const { terminal, environment } = memorySession(options);
  return newPassphrase(terminal, environment);
}

describe("the passphrase", () => {
  it("is asked twice", async () => {
    expect(await chosen({ typed: ["correct horse", "correct horse"] })).toBe("correct horse");
    await expect(chosen({ typed: ["correct horse", "correct house"] })).rejects.toThrow("differ");
  });

  it("comes from the environment without a question, blanks kept", async () => {
    const variables = { BRANCHLINE_PASSPHRASE: " correct horse " };

    expect(await chosen({ variables })).toBe(" correct horse ");
  });

  it("comes from a file, without the newline that editors add", async () => {
    const folder = await mkdtemp(join(tmpdir(), "branchline-cli-"));
    const path = join(folder, "passphrase");
    await writeFile(path, "correct horse\r\n");
    const { terminal, environment } = memorySession({
      variables: { BRANCHLINE_PASSPHRASE_FILE: path },
    });

    expect(await knownPassphrase(terminal, environment)).toBe("correct horse");
    await rm(folder, { recursive: true });
  });

  it("is a usage error without a terminal, with the way out", async () => {
    await expect(chosen({})).rejects.toMatchObject({
      code: "CLI_USAGE",
      hint: expect.stringContaining("BRANCHLINE_PASSPHRASE_FILE") as string,
    });
  });

  it("refuses a short new one, and takes Ctrl-C for an answer", async () => {
    await expect(chosen({ typed: ["short"] })).rejects.toThrow("shorter than 8");
    await expect(chosen({ typed: [] })).rejects.toMatchObject({ code: "CLI_INTERRUPTED" });
  });
});
