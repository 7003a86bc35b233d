import { type RefObject, useEffect, useRef } from "react";
import { useLocation, useNavigationType } from "react-router";

/**
 * What every page does: name the tab, and, when one has come here from another page, put the focus on its heading, so
 * that a screen reader says where one is and Tab goes on from there. Returns the ref for an `h1` with `tabIndex={-1}`.
 */
export function usePage(title: string): RefObject<HTMLHeadingElement | null> {
  const heading = useRef<HTMLHeadingElement>(null);
  const { key } = useLocation();
  const came = useNavigationType();
  useEffect(() => {
    document.title = title === "Rowlock" ? title : `${title} · Rowlock`;
  }, [title]);
  useEffect(() => {
    if (key !== "default" && came !== "REPLACE") heading.current?.focus({ preventScroll: true });
  }, [key, came]);
  return heading;
}
