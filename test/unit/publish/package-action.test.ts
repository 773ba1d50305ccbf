import { describe, expect, it } from "vitest";
import { actionFrom } from "../../../coordinator/publish/package-action.ts";
import { splitCommand } from "../../../coordinator/publish/split-command.ts";

describe("splitCommand", () => {
  it.each([
    { text: "setup.sh", words: ["setup.sh"] },
    { text: "  a   b\tc\n", words: ["a", "b", "c"] },
    { text: `a "b c" 'd e'`, words: ["a", "b c", "d e"] },
    { text: `a"b c"d`, words: ["ab cd"] },
    { text: `a "" ''`, words: ["a", "", ""] },
    { text: String.raw`a\ b c`, words: ["a b", "c"] },
    { text: String.raw`"say \"hi\""`, words: [`say "hi"`] },
    { text: String.raw`'no \" escape'`, words: [String.raw`no \" escape`] },
    {
      text: String.raw`C:\Tools\x.exe /i "C:\a b\c.msi"`,
      words: ["C:\\Tools\\x.exe", "/i", "C:\\a b\\c.msi"],
    },
    { text: String.raw`a\\b \"c`, words: ["a\\b", '"c'] },
    { text: "echo $HOME `id` ; rm *", words: ["echo", "$HOME", "`id`", ";", "rm", "*"] },
    { text: "dir\\", words: ["dir\\"] },
    { text: "", words: [] },
  ])("splits $text", ({ text, words }) => {
    expect(splitCommand(text)).toEqual(words);
  });

  it.each([`a "b`, `a 'b`, String.raw`"a\"`])("refuses the open quote of %s", (text) => {
    expect(() => splitCommand(text)).toThrow("a closing");
  });
});

describe("actionFrom", () => {
  it("OCS-21, OCS-25 makes a launch of a program and its arguments", () => {
    expect(actionFrom({ action: "launch", command: 'setup.exe /S "/D=C:\\a b"' })).toEqual({
      kind: "launch",
      program: "setup.exe",
      args: ["/S", "/D=C:\\a b"],
      timeoutSec: 7200,
      successCodes: [0],
    });
  });

  it("OCS-21, OCS-28 makes an execute of words, or of one script for the shell", () => {
    const plain = actionFrom({
      action: "execute",
      command: "dpkg -i a.deb",
      captureExitCode: true,
    });
    const shell = actionFrom({ action: "execute", command: "a | b", shell: true, timeoutSec: 5 });

    expect(plain).toMatchObject({
      command: ["dpkg", "-i", "a.deb"],
      shell: false,
      captureExitCode: true,
    });
    expect(shell).toMatchObject({
      command: ["a | b"],
      shell: true,
      captureExitCode: false,
      timeoutSec: 5,
    });
  });

  it("OCS-21, OCS-33 makes a store of a path and nothing else", () => {
    expect(actionFrom({ action: "store", path: "/opt/acme" })).toEqual({
      kind: "store",
      path: "/opt/acme",
    });
    expect(actionFrom({ action: "store", path: "tools/acme", shell: false })).toEqual({
      kind: "store",
      path: "tools/acme",
    });
  });

  it.each([
    { title: "OCS-26 a path in the launch name", options: { action: "launch", command: "bin/x" } },
    {
      title: "OCS-26 a Windows path in the launch name",
      options: { action: "launch", command: "C:\\x.exe" },
    },
    { title: "OCS-26 a launch without a command", options: { action: "launch" } },
    {
      title: "OCS-21 a launch with a path",
      options: { action: "launch", command: "x", path: "y" },
    },
    {
      title: "OCS-21 a launch through the shell",
      options: { action: "launch", command: "x", shell: true },
    },
    { title: "OCS-21 an execute without a command", options: { action: "execute" } },
    {
      title: "OCS-21 an execute with an empty command",
      options: { action: "execute", command: " " },
    },
    {
      title: "OCS-21 an execute with a path",
      options: { action: "execute", command: "x", path: "y" },
    },
    {
      title: "OCS-33 a store with a command",
      options: { action: "store", path: "a", command: "x" },
    },
    { title: "OCS-33 a store without a path", options: { action: "store" } },
    {
      title: "OCS-33 a store with success codes",
      options: { action: "store", path: "a", successCodes: [0] },
    },
    { title: "OCS-33 a store with a path upwards", options: { action: "store", path: "../a" } },
  ])("refuses $title", ({ options }) => {
    expect(() => actionFrom(options)).toThrow(/^the action \w+ does not fit/u);
  });

  it("refuses an unknown action", () => {
    expect(() => actionFrom({ action: "install" })).toThrow("expected launch, execute or store");
  });
});
