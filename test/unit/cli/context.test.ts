import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readEnvironment } from "../../../coordinator/cli/config.ts";
import { findConnection } from "../../../coordinator/cli/context.ts";
import {
  contextsPath,
  readContexts,
  withContext,
  writeContexts,
  type SavedContext,
} from "../../../coordinator/cli/saved-contexts.ts";

const fleet = {
  v: 1,
  fleet: "0123456789abcdef",
  catalogRoot: "{}",
  directorRoot: "{}",
  tlsCertificate: "PEM of the fleet",
};

let home = "";
let dataDir = "";

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "branchline-cli-"));
  dataDir = join(home, "data");
  await mkdir(dataDir);
  const operator = { url: "https://127.0.0.1:1", token: "from-data", fleet };
  await writeFile(join(dataDir, "operator.json"), JSON.stringify(operator));
  await writeFile(join(home, "token"), "from-context\n");
  const saved: SavedContext = {
    name: "work",
    url: "https://work:1",
    fleet: fleet.fleet,
    token: { kind: "file", path: join(home, "token") },
  };
  const other: SavedContext = {
    ...saved,
    name: "other",
    url: "https://other:1",
    tlsCertificate: "PEM of other",
    token: { kind: "variable", name: "OTHER_TOKEN" },
  };
  await writeContexts(
    join(home, "branchline"),
    withContext(withContext({ v: 1, contexts: [] }, saved), other),
  );
});

afterEach(async () => {
  await rm(home, { recursive: true });
});

function environmentOf(variables: Readonly<Record<string, string>>) {
  return readEnvironment(variables, home);
}

const everything = {
  BRANCHLINE_URL: "https://variables:1",
  BRANCHLINE_TOKEN: "from-variables",
  OTHER_TOKEN: "from-other",
};

describe("the coordinator of a command", () => {
  it("--data wins over everything and brings the certificate of its fleet", async () => {
    const environment = environmentOf({ ...everything, BRANCHLINE_DATA: "/nowhere" });

    expect(await findConnection({ data: dataDir }, environment)).toEqual({
      url: "https://127.0.0.1:1",
      token: "from-data",
      ca: "PEM of the fleet",
      dataDir,
    });
  });

  it("--context wins over variables and reads its token from a variable", async () => {
    expect(await findConnection({ context: "other" }, environmentOf(everything))).toEqual({
      url: "https://other:1",
      token: "from-other",
      ca: "PEM of other",
    });
  });

  it("URL and TOKEN win over BRANCHLINE_DATA, with the certificate of BRANCHLINE_CA", async () => {
    await writeFile(join(home, "ca.pem"), "PEM of a file");
    const environment = environmentOf({
      ...everything,
      BRANCHLINE_DATA: dataDir,
      BRANCHLINE_CA: join(home, "ca.pem"),
    });

    expect(await findConnection({}, environment)).toEqual({
      url: "https://variables:1",
      token: "from-variables",
      ca: "PEM of a file",
    });
  });

  it("BRANCHLINE_DATA wins over the saved context", async () => {
    const found = await findConnection({}, environmentOf({ BRANCHLINE_DATA: dataDir }));

    expect(found.token).toBe("from-data");
  });

  it("the saved context in use is last; the first one saved is in use", async () => {
    expect(await findConnection({}, environmentOf({}))).toEqual({
      url: "https://work:1",
      token: "from-context",
    });
  });

  it("an empty variable counts as absent", async () => {
    const environment = environmentOf({ BRANCHLINE_URL: "", BRANCHLINE_TOKEN: " " });

    expect((await findConnection({}, environment)).token).toBe("from-context");
  });

  it("says what to do where there is none at all", async () => {
    const environment = readEnvironment({}, join(home, "empty"));

    await expect(findConnection({}, environment)).rejects.toMatchObject({
      code: "CLI_NO_COORDINATOR",
    });
  });

  it("says that no coordinator runs where the data folder has no operator file", async () => {
    const calls = findConnection({ data: join(home, "nothing") }, environmentOf({}));

    await expect(calls).rejects.toMatchObject({ code: "CLI_NOT_RUNNING" });
  });

  it("says so too where the coordinator was made and has never run", async () => {
    await writeFile(join(dataDir, "operator.json"), JSON.stringify({ token: "t", fleet }));

    await expect(findConnection({ data: dataDir }, environmentOf({}))).rejects.toMatchObject({
      code: "CLI_NOT_RUNNING",
    });
  });

  it.each([
    [{ data: "a", context: "b" }, {}, "name two coordinators"],
    [{}, { BRANCHLINE_URL: "https://x" }, "BRANCHLINE_URL is set without BRANCHLINE_TOKEN"],
    [{}, { BRANCHLINE_TOKEN: "x" }, "BRANCHLINE_TOKEN is set without BRANCHLINE_URL"],
    [{}, { BRANCHLINE_URL: "x", BRANCHLINE_TOKEN: "x" }, "expected an address"],
    [{ context: "rome" }, {}, 'there is no saved context "rome"'],
    [{ context: "other" }, {}, "the variable OTHER_TOKEN does not hold an operator token"],
    [{ context: "other" }, { OTHER_TOKEN: "two words" }, "does not hold an operator token"],
  ])("refuses %j with %j: %s", async (options, variables, sentence) => {
    const calls = findConnection(options, environmentOf(variables));

    await expect(calls).rejects.toThrow(sentence);
  });
});

describe("the file of saved contexts", () => {
  it("can be read by its owner only and holds no token", async () => {
    const path = contextsPath(join(home, "branchline"));

    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readFile(path, "utf8")).not.toContain("from-");
  });

  it("refuses a file that it did not write", async () => {
    await writeFile(contextsPath(join(home, "branchline")), '{"v":1,"contexts":[{}]}');

    await expect(readContexts(join(home, "branchline"))).rejects.toMatchObject({
      code: "DOCUMENT_INVALID",
    });
  });

  it("a context saved twice is replaced and the choice stays", async () => {
    const contexts = await readContexts(join(home, "branchline"));
    const changed = withContext(contexts, { ...contexts.contexts[0]!, url: "https://new:1" });

    expect(changed.current).toBe("work");
    expect(changed.contexts.map(({ name, url }) => [name, url])).toEqual([
      ["other", "https://new:1"],
      ["work", "https://work:1"],
    ]);
  });
});
