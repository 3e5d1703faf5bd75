package portal

// watchingPages are the pages that show how deliveries do, and repair what failed.
func watchingPages(app string, page func(pattern string, show func(*visit) error)) {
	one := app + "/endpoint/{endpoint}"
	page("GET "+one+"/attempt", (*visit).listAttempts)
	page("GET "+one+"/attempt/live", (*visit).followAttempts)
	page("GET "+one+"/last", (*visit).showLast)
	page("GET "+app+"/event/{event}/attempt/{attempt}", (*visit).showAttempt)
	page("POST "+app+"/event/{event}/resend", (*visit).resend)
	page("GET "+one+"/again", (*visit).showAgain)
	page("POST "+one+"/again", (*visit).startAgain)
	page("GET "+app+"/dead-letter", (*visit).listCauses)
	page("GET "+app+"/dead-letter/list", (*visit).listLetters)
	page("GET "+app+"/dead-letter/one/{letter}", (*visit).showLetter)
	page("GET "+app+"/dead-letter/act/{action}", (*visit).confirmLetters)
	page("POST "+app+"/dead-letter/act/{action}", (*visit).actOnLetters)
	page("GET "+app+"/task", (*visit).listTasks)
	page("GET "+app+"/task/{task}", (*visit).showTask)
	page("GET "+app+"/task/{task}/progress", (*visit).showProgress)
	page("POST "+app+"/task/{task}/cancel", (*visit).cancelTask)
}
