/** When a package that a peer names is worth a check-in. */
import { describe, expect, it } from "vitest";
import { PackageNews } from "../../../node/core/package-news.ts";
import { parseSwarmTag } from "../../../protocol/ids.ts";

const PACKAGE = parseSwarmTag("ab".repeat(32));

function tagOf(count: number): typeof PACKAGE {
  return parseSwarmTag(count.toString(16).padStart(64, "0"));
}

describe("PackageNews", () => {
  it("hears of a package at once, and of each by itself", () => {
    const news = new PackageNews();
    expect(news.isNews(PACKAGE, 0)).toBe(true);
    expect(news.isNews(PACKAGE, 0)).toBe(false);
    expect(news.isNews(tagOf(1), 0)).toBe(true);
  });

  it("asks again for the same package at intervals that double up to an hour", () => {
    const news = new PackageNews();
    const asked: number[] = [];
    for (let second = 0; second < 4 * 3600; second += 10) {
      if (news.isNews(PACKAGE, second * 1000)) asked.push(second);
    }
    const gaps = asked.slice(1).map((at, index) => at - (asked[index] ?? 0));
    expect(gaps.slice(0, 5)).toEqual([10, 20, 40, 80, 160]);
    expect(gaps.slice(-3)).toEqual([2560, 3600, 3600]);
  });

  it("forgets the one that it heard of first when it knows a thousand", () => {
    const news = new PackageNews();
    news.isNews(PACKAGE, 0);
    for (let count = 1; count <= 999; count++) news.isNews(tagOf(count), 0);
    expect(news.isNews(PACKAGE, 0)).toBe(false);
    news.isNews(tagOf(1000), 0);
    expect(news.isNews(tagOf(1), 0)).toBe(false);
    expect(news.isNews(PACKAGE, 0)).toBe(true);
  });
});
