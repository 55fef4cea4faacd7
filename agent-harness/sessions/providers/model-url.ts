/** Where a model server speaks OpenAI's chat completions: at the address as it is, or below /v1 of one that has no path. */
export function modelBase(url: string): string {
  const { pathname } = new URL(url);
  return pathname === "/" ? new URL("/v1", url).href : url;
}
