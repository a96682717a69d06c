"""What a network says while the camera looks."""
