package access

// Capability is what a portal token may do. The names are those of the Svix API.
type Capability string

// Capabilities.
const (
	ViewBase              Capability = "ViewBase"
	ViewEndpointSecret    Capability = "ViewEndpointSecret"
	ManageEndpointSecret  Capability = "ManageEndpointSecret"
	ManageTransformations Capability = "ManageTransformations"
	CreateAttempts        Capability = "CreateAttempts"
	ManageEndpoint        Capability = "ManageEndpoint"
)

// Capabilities lists all of them: what a token has for which none are named.
func Capabilities() []Capability {
	return []Capability{
		ViewBase, ViewEndpointSecret, ManageEndpointSecret, ManageTransformations, CreateAttempts, ManageEndpoint,
	}
}

// grants reports whether c includes the permission. No capability grants what makes tokens or keys.
func (c Capability) grants(want Permission) bool {
	switch c {
	case ViewBase:
		return want == ViewTenant || want == ViewCatalogue || want == ViewTasks
	case ViewEndpointSecret:
		return want == ViewSecrets
	case ManageEndpointSecret:
		return want == ManageSecrets
	case CreateAttempts:
		return want == SendExample || want == SendAgain || want == CancelTasks
	case ManageEndpoint:
		return want == ManageEndpoints
	case ManageTransformations:
		return want == ManageEndpointTransformations
	}
	return false
}
