package portal

// watchingPages are the pages that show how deliveries do, and repair what failed.
func watchingPages(app string, page func(pattern string, show func(*visit) error)) {
	one := app + "/endpoint/{endpoint}"
	page("GET "+one+"/attempt", (*visit).listAttempts)
	page("GET "+one+"/last", (*visit).showLast)
	page("GET "+app+"/event/{event}/attempt/{attempt}", (*visit).showAttempt)
	page("POST "+app+"/event/{event}/resend", (*visit).resend)
}
