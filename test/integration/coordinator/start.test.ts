import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import pino from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { initCoordinator } from "../../../coordinator/init.ts";
import { runCoordinator } from "../../../coordinator/main.ts";
import { buildApp } from "../../../coordinator/routes/app.ts";
import { openCoordinatorParts } from "../../support/coordinator-parts.ts";

const nowMs = 1_800_000_000_000;
let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "branchline-start-"));
});
afterEach(async () => rm(folder, { recursive: true }));

const init = async (more: object = {}) =>
  initCoordinator({
    dataDir: path.join(folder, "data"),
    passphrase: "correct horse battery",
    hosts: ["localhost"],
    configHome: path.join(folder, "config"),
    nowMs,
    ...more,
  });
const run = async (dataDir: string, port = 0) =>
  runCoordinator({
    dataDir,
    listen: { host: "127.0.0.1", port },
    isInsecureHttp: true,
    signal: AbortSignal.timeout(60_000),
    log: pino({ level: "silent" }),
    now: () => nowMs,
  });

describe("init", () => {
  it("puts the offline keys outside the data folder and refuses them inside", async () => {
    const keysPath = path.join(folder, "data", "keys", "offline.json");
    await expect(init({ keysPath })).rejects.toMatchObject({ code: "KEYS_INSIDE_DATA" });
    expect(await readdir(folder)).toEqual([]);

    const made = await init();
    expect(made.keysPath).toBe(path.join(folder, "config/branchline/keys", `${made.fleetId}.json`));
  });

  it("refuses a folder that holds something and leaves it alone", async () => {
    await mkdir(path.join(folder, "data"));
    await writeFile(path.join(folder, "data", "mine.txt"), "x");

    await expect(init()).rejects.toMatchObject({ code: "ALREADY_INITIALISED" });
    expect(await readdir(path.join(folder, "data"))).toEqual(["mine.txt"]);
  });

  it("cleans up after itself when it fails half way", async () => {
    const keysPath = path.join(folder, "taken.json");
    await writeFile(keysPath, "x");

    await expect(init({ keysPath })).rejects.toMatchObject({ code: "KEYFILE_EXISTS" });
    expect(await readdir(folder)).toEqual(["taken.json"]);
    await mkdir(path.join(folder, "data"));
    await expect(init({ keysPath })).rejects.toMatchObject({ code: "KEYFILE_EXISTS" });
    expect(await readdir(path.join(folder, "data"))).toEqual([]);
  });
});

describe("start", () => {
  it("says what to do where nothing was initialised", async () => {
    await expect(run(path.join(folder, "none"))).rejects.toMatchObject({
      code: "NOT_INITIALISED",
      hint: expect.stringContaining("branchline init") as string,
    });
  });

  it("says that the port is in use, and lets go of the store", async () => {
    await init();
    const other = createServer();
    await new Promise<void>((resolve) => {
      other.listen(0, "127.0.0.1", resolve);
    });
    const { port } = other.address() as AddressInfo;

    for (let round = 0; round < 2; round++) {
      await expect(run(path.join(folder, "data"), port)).rejects.toMatchObject({
        code: "LISTEN_FAILED",
        message: expect.stringContaining("the port is in use") as string,
      });
    }
    other.close();
  });
});

describe("routes", () => {
  it("lets every route name its callers, and refuses strangers on all that are not public", async () => {
    const { parts } = await openCoordinatorParts(folder, nowMs);
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on("warning", onWarning);
    const { app, routes } = await buildApp(parts, { log: pino({ level: "silent" }) });

    const open = routes.filter(({ caller }) => caller === "public").map(({ url }) => url);
    expect(routes.length).toBeGreaterThan(18);
    expect(open.sort()).toEqual(
      ["/livez", "/openapi.json", "/readyz", "/v1/check-in", "/v1/fleet", "/v1/join"].sort(),
    );
    expect(() => app.get("/v1/forgotten", async () => "x")).toThrow(
      /does not declare who may call/u,
    );
    for (const { method, url, caller } of routes) {
      if (caller === "public") continue;
      const answer = await app.inject({ method: method as "GET", url });
      expect([url, answer.statusCode, answer.json<{ code: string }>().code]).toEqual([
        url,
        401,
        "AUTH_REFUSED",
      ]);
    }
    const document = (await app.inject({ method: "GET", url: "/openapi.json" })).json<{
      openapi: string;
      paths: object;
    }>();
    expect(document.openapi).toBe("3.1.0");
    expect(Object.keys(document.paths)).toContain("/v1/deployments");
    await app.close();
    process.off("warning", onWarning);
    expect(warnings).toEqual([]);
  });
});
