import { LinkButton } from "@/shared/ui/button";
import { usePage } from "@/shared/ui/page";
import { EmptyState } from "@/shared/ui/states";

export function NotFound() {
  const heading = usePage("Nothing here");
  return (
    <EmptyState
      heading={heading}
      level={1}
      title="There is nothing at this address"
      action={<LinkButton to="/">See what is on</LinkButton>}
    >
      The page may have moved, or the link may have lost a letter on its way.
    </EmptyState>
  );
}
