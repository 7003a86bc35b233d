import { usePage } from "@/shared/ui/page";

export function ShowsPage() {
  const heading = usePage("Rowlock");
  return (
    <h1 ref={heading} tabIndex={-1} className="text-2xl">
      What’s on
    </h1>
  );
}
