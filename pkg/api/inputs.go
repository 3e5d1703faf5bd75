package api

// The parameters of the operations. There are few sets of them on purpose; see erase.go. What is embedded is exported, or
// huma would not see it.

// ListInput are the parameters of a list that has an order.
type ListInput struct {
	PageInput
	OrderInput
}

type (
	// AppPage are the parameters of a list below a tenant.
	AppPage struct {
		AppPath
		PageInput
	}
	// AppList are those of one that has an order.
	AppList struct {
		AppPath
		ListInput
	}
)

// CreateBody makes something.
type CreateBody struct {
	WaitInput
	JSONBody
}

type (
	// AppBody asks something about a tenant.
	AppBody struct {
		AppPath
		JSONBody
	}
	// AppCreateBody makes something below it.
	AppCreateBody struct {
		AppPath
		WaitInput
		JSONBody
	}
)

type (
	// AppWrite changes a tenant.
	AppWrite struct {
		AppPath
		WriteInput
	}
	// AppWriteBody changes it to what the body says.
	AppWriteBody struct {
		AppWrite
		JSONBody
	}
)

// EndpointBody asks something about a subscription.
type EndpointBody struct {
	EndpointPath
	JSONBody
}

type (
	// EndpointWrite changes a subscription or what belongs to it.
	EndpointWrite struct {
		EndpointPath
		WriteInput
	}
	// EndpointWriteBody changes it to what the body says.
	EndpointWriteBody struct {
		EndpointWrite
		JSONBody
	}
)

// EventTypeWriteBody changes an event type.
type EventTypeWriteBody struct {
	EventTypePath
	WriteInput
	JSONBody
}
