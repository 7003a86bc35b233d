import { useRouteError } from "react-router";
import { Button } from "@/shared/ui/button";
import { usePage } from "@/shared/ui/page";
import { EmptyState } from "@/shared/ui/states";

/** What is shown where a page broke, or where a part of it could not be fetched. */
export function PageError() {
  const error = useRouteError();
  const heading = usePage("Something broke");
  const offline = error instanceof TypeError && /fetch|import/i.test(error.message);
  return (
    <EmptyState
      heading={heading}
      level={1}
      title={offline ? "This page could not be fetched" : "Something on this page broke"}
      action={<Button onClick={() => window.location.reload()}>Load it again</Button>}
    >
      {offline
        ? "The connection may be gone for a moment, or there is a newer version of the page."
        : "That is our fault, not yours. Nothing that you booked is lost: loading the page again shows it."}
    </EmptyState>
  );
}
