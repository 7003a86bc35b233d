/** The page's fonts, as a worker can be told of them: it has no style sheets of its own. */

export interface FontFaceRule {
  family: string;
  source: string;
  weight: string;
  style: string;
  range: string;
}

/** Every `@font-face` of the page's own style sheets, with addresses that are good anywhere. */
export function fontFaces(): FontFaceRule[] {
  return [...document.styleSheets].flatMap((sheet) => {
    const base = sheet.href ?? document.baseURI;
    return [...sheet.cssRules].filter(isFontFace).map(({ style }) => ({
      family: style.getPropertyValue("font-family").replace(/["']/g, ""),
      source: absolute(style.getPropertyValue("src"), base),
      weight: style.getPropertyValue("font-weight") || "normal",
      style: style.getPropertyValue("font-style") || "normal",
      range: style.getPropertyValue("unicode-range") || "U+0-10FFFF",
    }));
  });
}

const isFontFace = (rule: CSSRule): rule is CSSFontFaceRule => rule instanceof CSSFontFaceRule;

export const absolute = (source: string, base: string): string =>
  source.replace(/url\(\s*["']?([^"')]+)["']?\s*\)/g, (_, url: string) => `url("${new URL(url, base)}")`);
